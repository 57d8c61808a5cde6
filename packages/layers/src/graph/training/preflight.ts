import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '@tfjs-peft/kernels';
import {own} from '../../names.js';
import {attribute, type GraphNode} from '../internals.js';
import type {Cut} from './cut.js';

/** An op through which a gradient has to flow, but does not, or not right. */
export interface GradientGap {
  node: string;
  op: string;
  /** The kernel of tfjs that has no right gradient. */
  kernel: string;
  /** Whether importing `@tfjs-peft/kernels/gradients` closes the gap. */
  supplied: boolean;
}

/** The kernel that decides about an op's gradient, where it is not of the op's own name. */
const KERNELS: Readonly<Record<string, string>> = {
  MatMul: 'BatchMatMul',
  BatchMatMulV2: 'BatchMatMul',
  TopKV2: 'TopK',
  ImageProjectiveTransform: 'Transform',
  ImageProjectiveTransformV3: 'Transform',
  Cumprod: 'Cumprod',
  RFFT: 'FFT',
  IRFFT: 'IFFT',
};

/** Kernels that only run within an op that brings its gradient along. */
const WITHIN = new Set(['_FusedMatMul', 'FusedConv2D', 'FusedDepthwiseConv2D']);

/** Kernels whose stock gradient is wrong for broadcast operands; converted models broadcast. */
const WRONG_GRADIENT: ReadonlySet<string> = new Set(['SquaredDifference']);

/** What `@tfjs-peft/kernels/gradients` supplies of these. */
const SUPPLIED: ReadonlySet<string> = new Set([
  'Einsum',
  'StridedSlice',
  'GatherNd',
  'ScatterNd',
  'TopK',
  'SquaredDifference',
]);

/** What gradients of that entry point carry. */
const MARK = Symbol.for('tfjs-peft.gradient');

/** Puts the gradients of that entry point, if it was imported, back over those that tfjs-layers registered later. */
function registerAgain(): void {
  (globalThis as {[key: symbol]: (() => void) | undefined})[Symbol.for('tfjs-peft.gradients.register')]?.();
}

/** Convolutions, of which tfjs has no gradient where they are dilated. */
const CONVOLUTIONS: Readonly<Record<string, string>> = {
  Conv2D: 'Conv2D',
  _FusedConv2D: 'FusedConv2D',
  DepthwiseConv2dNative: 'DepthwiseConv2dNative',
  FusedDepthwiseConv2dNative: 'FusedDepthwiseConv2D',
};

function isDilated(node: GraphNode): boolean {
  const dilations = attribute<number | number[]>(node, 'dilations');
  return [dilations ?? 1].flat().some((size) => size > 1);
}

function gapOf(node: GraphNode): GradientGap | undefined {
  const {name, op} = node;
  if (Object.hasOwn(CONVOLUTIONS, op)) {
    if (!isDilated(node) || op.includes('Depthwise')) return undefined;
    if (op === 'Conv2D' && MARK in (tf.getGradient('Conv2D')?.gradFunc ?? {})) return undefined;
    return {node: name, op, kernel: CONVOLUTIONS[op]!, supplied: op === 'Conv2D'};
  }
  const kernel = own(KERNELS, op) ?? op;
  const gap = {node: name, op, kernel, supplied: SUPPLIED.has(kernel)};
  if (WITHIN.has(kernel)) return undefined;
  const gradient = tf.getGradient(kernel);
  if (gradient == null) return tf.getKernel(kernel, tf.getBackend()) == null ? undefined : gap;
  if (WRONG_GRADIENT.has(kernel)) {
    return MARK in gradient.gradFunc ? undefined : gap;
  }
  return undefined;
}

/**
 * The ops between what is trained and the outputs through which no right gradient flows now.
 *
 * @param replaced Nodes that run other code than their op's, or none: those that are trained among them.
 */
export function findGaps(cut: Cut, replaced: ReadonlySet<GraphNode>): GradientGap[] {
  registerAgain();
  return [...cut.carrying].flatMap((node) => (replaced.has(node) ? [] : (gapOf(node) ?? [])));
}

/**
 * What tfjs said when it took a gradient, with the nodes that it can be about: an op may run kernels that its name does not tell.
 */
export function explain(error: unknown, cut: Cut): unknown {
  const [, kernel] = /gradient function not found for (\w+)/.exec((error as Error)?.message) ?? [];
  if (kernel === undefined) return error;
  const nodes = [...cut.carrying].filter(({op}) => (own(KERNELS, op) ?? op).includes(kernel));
  const known = nodes.map(({name, op}) => `'${name}' (${op})`).join(', ');
  return new NoGradientError(
    `tfjs has no gradient of ${kernel}${known && `, which is what runs at ${known}`}. Register one with tf.registerGradient.`,
    {cause: error},
  );
}

/** @throws NoGradientError that names every op and node through which no right gradient flows. */
export function checkGaps(gaps: readonly GradientGap[]): void {
  if (gaps.length === 0) return;
  const lines = gaps.map(({node, op, kernel, supplied}) => {
    const help = supplied ? "supplied by '@tfjs-peft/kernels/gradients'" : 'not supplied';
    return `\n- '${node}' (${op}): tfjs has no right gradient of ${kernel}; ${help}`;
  });
  const rest = gaps.some(({supplied}) => !supplied);
  throw new NoGradientError(
    `No right gradient flows from the outputs to what is trained.${lines.join('')}\n` +
      (gaps.some(({supplied}) => supplied) ? "Import '@tfjs-peft/kernels/gradients' before training. " : '') +
      (rest
        ? 'Where it is not supplied, leave the sites before that node out, train towards a node before it, or register a gradient ' +
          'with tf.registerGradient.'
        : ''),
  );
}
