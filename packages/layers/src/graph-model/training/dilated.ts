import * as tf from '@tensorflow/tfjs-core';
import type {RunNode} from '../interception.js';
import {attribute, type GraphNode} from '../internals.js';

type Pair = [number, number];

/** [1, height, width, 1] as the two in the middle. */
const middle = (node: GraphNode, name: string): Pair =>
  (attribute<number[]>(node, name) ?? [1, 1, 1, 1]).slice(1, 3) as Pair;

/** The padding of a convolution as tfjs takes it. */
function paddingOf(node: GraphNode): Parameters<typeof tf.conv2d>[3] {
  const pad = attribute<string>(node, 'pad')!;
  if (pad !== 'explicit') return pad as 'same' | 'valid';
  const explicit = attribute<number[]>(node, 'explicitPaddings')!;
  return [0, 1, 2, 3].map((i): Pair => [explicit[2 * i]!, explicit[2 * i + 1]!]) as [Pair, Pair, Pair, Pair];
}

/**
 * Splits a dilated convolution that is fused with only its bias into two ops: the fused op has a gradient of
 * its own, which refuses dilations. With an activation, tfjs itself splits them.
 *
 * @returns undefined for any other node.
 */
export function apart(node: GraphNode): RunNode | undefined {
  const depthwise = node.op === 'FusedDepthwiseConv2dNative';
  if (!depthwise && node.op !== '_FusedConv2D') return undefined;
  const dilations = middle(node, 'dilations');
  const [first, ...others] = attribute<string[]>(node, 'fusedOps') ?? [];
  if (dilations.every((size) => size === 1) || first !== 'biasadd' || others.length > 0) return undefined;
  if (attribute<string>(node, 'dataFormat') === 'nchw') return undefined;
  const convolve = (depthwise ? tf.depthwiseConv2d : tf.conv2d) as typeof tf.conv2d;
  return ([x, filter, bias]) =>
    tf.add(
      convolve(
        x as tf.Tensor4D,
        filter as tf.Tensor4D,
        middle(node, 'strides'),
        paddingOf(node),
        'NHWC',
        dilations,
      ),
      bias!,
    );
}
