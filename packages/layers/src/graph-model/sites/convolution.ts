import * as tf from '@tensorflow/tfjs-core';
import {withArticle} from '../../core/messages.js';
import {
  type ConvolutionSource,
  convolution,
  depthwiseConvolution,
  type Pair,
} from '../../core/sites/operations/convolution.js';
import {
  transposedConvolution,
  transposedKernel,
  transposedMatrix,
} from '../../core/sites/operations/transposed-convolution.js';
import {type Constant, constantAt} from '../constants.js';
import {type Epilogue, followingEpilogue, fusedEpilogue} from '../epilogue.js';
import {attribute, type Executor, type GraphNode} from '../internals.js';
import {CachedMatrix} from './cached-matrix.js';
import type {MatchNode, NodeSite} from './node-site.js';

interface Matched {
  weight: Constant;
  epilogue: Epilogue;
  source: ConvolutionSource;
}

/** What convolutions have in common; or a text that says why the node cannot be a site. */
function matchWindow(
  executor: Executor,
  node: GraphNode,
  columns: (shape: number[]) => number,
): Matched | string {
  const weight = constantAt(executor, node, 1);
  if (weight === undefined) return 'has a filter that is not a constant';
  if (weight.dtype !== 'float32' || weight.shape.length !== 4) {
    const given = `has ${withArticle(weight.dtype)} filter [${weight.shape}]`;
    return `${given}; adapters need a float32 filter with 4 axes`;
  }
  const format = attribute<string>(node, 'dataFormat') ?? 'nhwc';
  if (format.toLowerCase() !== 'nhwc')
    return `has the data format ${format.toUpperCase()}; adapters need NHWC`;
  const pad = paddingOf(node);
  if (pad === undefined)
    return `has the padding ${attribute(node, 'pad')}; adapters need same, valid or explicit`;
  const width = columns(weight.shape);
  const fused = node.op.includes('Fused') ? fusedEpilogue(executor, node, width) : undefined;
  if (typeof fused === 'string') return fused;
  const epilogue =
    fused ?? followingEpilogue(executor, node, width, {columns: [width], rank: 4, whole: true});
  const {bias, activation} = epilogue;
  return {
    weight,
    epilogue,
    source: {
      window: {
        size: weight.shape.slice(0, 2) as Pair,
        strides: inner(attribute(node, 'strides')),
        pad,
        dilations: inner(attribute(node, 'dilations')),
      },
      kernel: weight.read,
      bias: () => bias && (tf.reshape(bias.read(), [width]) as tf.Tensor1D),
      activation: () => activation,
    },
  };
}

/** Height and width of [batch, height, width, channels]. */
function inner(axes: number[] | undefined): Pair {
  return axes?.length === 4 ? [axes[1]!, axes[2]!] : [1, 1];
}

function paddingOf(node: GraphNode): ConvolutionSource['window']['pad'] | undefined {
  const pad = attribute<string>(node, 'pad');
  if (pad === 'same' || pad === 'valid') return pad;
  const sides = attribute<number[]>(node, 'explicitPaddings');
  if (pad !== 'explicit' || sides?.length !== 8) return undefined;
  return [0, 2, 4, 6].map((at) => [sides[at]!, sides[at + 1]!]) as tf.backend_util.ExplicitPadding;
}

/** Height and width of [batch, height, width, channels], as a tensor. */
function sizeOf(shape: tf.Tensor): Pair {
  return Array.from(shape.dataSync()).slice(1, 3) as Pair;
}

function siteOf(kind: string, {weight, epilogue}: Matched, operation: NodeSite['operation']): NodeSite {
  const {bias, absorbed, tail} = epilogue;
  return {kind, operation, weight, ...(bias && {bias}), absorbed, tail};
}

/** Conv2D and _FusedConv2D with a constant filter; a Conv1D is one between an ExpandDims and a Squeeze. */
export const matchConvolution: MatchNode = (executor, node) => {
  const matched = matchWindow(executor, node, (shape) => shape[3]!);
  if (typeof matched === 'string') return {reason: matched};
  const {weight, source} = matched;
  const matrix = new CachedMatrix(weight, (kernel) => tf.reshape(kernel, [-1, weight.shape[3]!]));
  const operation = convolution({...source, matrix: () => matrix.read()});
  return {...siteOf('conv2d', matched, operation), dispose: () => matrix.dispose()};
};

/** DepthwiseConv2dNative and its fused form, whose output can only be scaled. */
export const matchDepthwise: MatchNode = (executor, node) => {
  const matched = matchWindow(executor, node, (shape) => shape[2]! * shape[3]!);
  if (typeof matched === 'string') return {reason: matched};
  return siteOf('depthwiseConv2d', matched, depthwiseConvolution(matched.source));
};

/** Conv2DBackpropInput with a constant filter, which is how a Conv2DTranspose is written. */
export const matchTransposed: MatchNode = (executor, node) => {
  const matched = matchWindow(executor, node, (shape) => shape[2]!);
  if (typeof matched === 'string') return {reason: matched};
  const {weight, source} = matched;
  const {window, bias, activation} = source;
  const matrix = new CachedMatrix(weight, transposedMatrix);
  // The node says for each call how large its output is. An operation runs synchronously after it gets its
  // input.
  let outputs: Pair;
  const operation = transposedConvolution({
    window,
    bias,
    activation: () => activation?.(),
    kernel: () => weight.read() as tf.Tensor4D,
    matrix: () => matrix.read(),
    outputSize: () => outputs,
  });
  return {
    ...siteOf('conv2dTranspose', matched, operation),
    input([shape, , x]) {
      outputs = sizeOf(shape!);
      return x!;
    },
    restore: (kernel) => transposedKernel(kernel, window.size, weight.shape[3]!),
    dispose: () => matrix.dispose(),
  };
};
