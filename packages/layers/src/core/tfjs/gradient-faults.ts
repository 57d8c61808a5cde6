import * as tf from '@tensorflow/tfjs-core';
import {patchReasons} from '@tfjs-peft/kernels';
import {own} from '../io/json.js';

/** An op of a graph, or a kernel that ran, and the inputs to which a gradient has to flow. */
export interface Flow {
  op: string;
  attribute<T>(name: string): T | undefined;
  /** The shape of an input; undefined where it is not known before the op runs. */
  shape(input: number): readonly number[] | undefined;
  /** The number of its outputs. */
  outputs: number;
  carries(input: number): boolean;
}

/** Kernels whose name differs from that of the op that runs them. */
const OPS: Readonly<Record<string, string>> = {
  SplitV: 'Split',
  // Ops with a gradient of their own are on the tape under their own name.
  fusedConv2d__op: '_FusedConv2D',
  fusedDepthwiseConv2d__op: 'FusedDepthwiseConv2dNative',
  fusedMatMul__op: '_FusedMatMul',
};

/** A kernel that ran; all its shapes are known. */
export function flowOfKernel(
  kernel: string,
  attrs: Readonly<Record<string, unknown>>,
  shapes: readonly (readonly number[])[],
  outputs: number,
  carries: Flow['carries'],
): Flow {
  return {
    op: own(OPS, kernel) ?? kernel,
    attribute: <T>(name: string) => own(attrs, name) as T | undefined,
    shape: (input) => shapes[input],
    outputs,
    carries,
  };
}

/** A gradient that stock tfjs gets wrong. */
interface Fault {
  kernel: string;
  /**
   * Whether it is wrong for these attributes and operands, or may be if the graph does not tell the shapes.
   * Default: always.
   */
  when?(flow: Flow): boolean;
  /** No package has a correct gradient. */
  final?: true;
}

const GRADIENTS = '@tfjs-peft/kernels/gradients';
export const WASM_TRAINING = '@tfjs-peft/kernels/wasm-training';

const isSame = ({attribute}: Flow): boolean => attribute('pad') === 'same';
const onWasm = (): boolean => tf.getBackend() === 'wasm';

/** Whether a shape changes when it is broadcast with another. */
function isBroadcast(shape: readonly number[], other: readonly number[]): boolean {
  const together = tf.broadcast_util.assertAndGetBroadcastShape([...shape], [...other]);
  return !tf.util.arraysEqual(shape as number[], together);
}

/**
 * Whether an operand that carries a gradient may be smaller than the other, so that
 * its gradient has to be summed up.
 */
function mayBeSmaller({shape, carries}: Flow): boolean {
  return [0, 1].some((input) => {
    if (!carries(input)) return false;
    const [mine, other] = [shape(input), shape(1 - input)];
    if (mine !== undefined && other !== undefined) return isBroadcast(mine, other);
    return other === undefined || tf.util.sizeFromShape([...other]) > 1;
  });
}

/** The same for matrix products, whose batch axes are broadcast. */
function mayBeBroadcast({shape, carries}: Flow): boolean {
  return [0, 1].some((input) => {
    if (!carries(input)) return false;
    const [mine, other] = [shape(input), shape(1 - input)];
    if (mine !== undefined && other !== undefined) return isBroadcast(mine.slice(0, -2), other.slice(0, -2));
    return other === undefined || other.length > 2;
  });
}

/** A window of one entry has no padding. */
const isPadded = (flow: Flow): boolean =>
  isSame(flow) &&
  [flow.attribute<number | number[]>('kernelSize') ?? flow.attribute<number | number[]>('filterSize') ?? []]
    .flat()
    .some((size) => size > 1);

const isDilated = ({attribute}: Flow): boolean =>
  [attribute<number | number[]>('dilations') ?? attribute<number>('dilation') ?? 1]
    .flat()
    .some((size) => size > 1);

const hasHalfPixels = ({attribute}: Flow): boolean => attribute('halfPixelCenters') === true;

/** Alphas for the channels alone are smaller than what they scale. */
function mayBeLargerAlpha({shape, carries}: Flow): boolean {
  const [x, alpha] = [shape(0), shape(1)];
  if (!carries(0)) return false;
  if (x !== undefined && alpha !== undefined) return isBroadcast(x, alpha);
  return alpha === undefined || alpha.slice(0, -1).some((size) => size > 1);
}

const batchAxes = ({attribute}: Flow): number => attribute<number>('batchDims') ?? 0;

const product: Fault[] = [{kernel: 'BatchMatMul', when: mayBeBroadcast}];
const comparison = (kernel: string): Fault[] => [{kernel}];
const mean = (kernel: string): Fault[] => [{kernel, when: isPadded}];

/** By op. Ops for which stock has no gradient at all are not listed: tfjs reports those itself. */
const FAULTS: Readonly<Record<string, Fault[]>> = {
  Maximum: [{kernel: 'Maximum', when: mayBeSmaller}],
  Minimum: [{kernel: 'Minimum', when: mayBeSmaller}],
  SquaredDifference: [{kernel: 'SquaredDifference', when: mayBeSmaller}],
  Prelu: [{kernel: 'Prelu', when: mayBeLargerAlpha}],
  FloorDiv: [{kernel: 'FloorDiv'}],
  Cast: [{kernel: 'Cast', when: ({attribute}) => attribute('dtype') !== 'float32'}],
  DivNoNan: [{kernel: 'Equal'}],
  MatrixBandPart: [{kernel: 'LogicalAnd'}],
  AvgPool: mean('AvgPool'),
  AvgPool3D: mean('AvgPool3D'),
  MaxPoolWithArgmax: [{kernel: 'MaxPoolWithArgmax', when: (flow) => onWasm() && isSame(flow), final: true}],
  ResizeBilinear: [
    {kernel: 'ResizeBilinear', when: (flow) => hasHalfPixels(flow) || tf.getBackend() === 'cpu'},
  ],
  ResizeNearestNeighbor: [
    {
      kernel: 'ResizeNearestNeighbor',
      when: (flow) => hasHalfPixels(flow) || flow.attribute('alignCorners') === true,
    },
  ],
  MirrorPad: [{kernel: 'MirrorPad'}],
  Conv1D: [{kernel: 'Conv2D', when: isDilated}],
  Conv2D: [{kernel: 'Conv2D', when: isDilated}],
  _FusedConv2D: [{kernel: 'Conv2D', when: isDilated}],
  DepthwiseConv2d: [{kernel: 'DepthwiseConv2dNative', when: isDilated}],
  DepthwiseConv2dNative: [{kernel: 'DepthwiseConv2dNative', when: isDilated}],
  FusedDepthwiseConv2dNative: [{kernel: 'DepthwiseConv2dNative', when: isDilated}],
  Conv3D: [{kernel: 'Conv3D', when: (flow) => isDilated(flow) || onWasm()}],
  Dilation2D: [{kernel: 'Dilation2D', when: onWasm, final: true}],
  Cumsum: [{kernel: 'Cumsum'}],
  Prod: [{kernel: 'Prod'}],
  Unpack: [{kernel: 'Unpack', when: ({outputs}) => outputs < 2}],
  Split: [{kernel: 'SplitV', when: ({outputs}) => outputs === 1}],
  Tile: [
    {
      kernel: 'Tile',
      when: ({attribute, shape}) => (attribute<number[]>('reps')?.length ?? shape(1)?.[0] ?? 0) > 4,
    },
  ],
  GatherV2: [
    {kernel: 'GatherV2', when: (flow) => onWasm() && batchAxes(flow) > 1, final: true},
    {kernel: 'GatherV2', when: (flow) => batchAxes(flow) > 1},
  ],
  CropAndResize: [{kernel: 'CropAndResize', when: ({carries}) => carries(1), final: true}],
  BatchMatMul: product,
  BatchMatMulV2: product,
  Equal: comparison('Equal'),
  NotEqual: comparison('NotEqual'),
  Greater: comparison('Greater'),
  Less: comparison('Less'),
  LessEqual: comparison('LessEqual'),
  LogicalAnd: comparison('LogicalAnd'),
  LogicalOr: comparison('LogicalOr'),
  LogicalNot: comparison('LogicalNot'),
  Any: comparison('Any'),
  All: comparison('All'),
  LowerBound: comparison('SearchSorted'),
  UpperBound: comparison('SearchSorted'),
};

/** The kernel that decides whether the gradient of an op is correct, if it has another name than the op. */
const KERNELS: Readonly<Record<string, string>> = {
  MatMul: 'BatchMatMul',
  BatchMatMulV2: 'BatchMatMul',
  TopKV2: 'TopK',
  ImageProjectiveTransform: 'Transform',
  ImageProjectiveTransformV3: 'Transform',
  RFFT: 'FFT',
  IRFFT: 'IFFT',
};

/** Kernels that run only within an op that has a gradient of its own. */
const WITHIN = new Set(['_FusedMatMul', 'FusedConv2D', 'FusedDepthwiseConv2D']);

/** Kernels without a stock gradient for which `@tfjs-peft/kernels/gradients` supplies one. */
const SUPPLIED: ReadonlySet<string> = new Set([
  'Einsum',
  'StridedSlice',
  'GatherNd',
  'ScatterNd',
  'TopK',
  'Cumprod',
  'DepthToSpace',
  'CropAndResize',
  'TensorScatterUpdate',
  'SparseToDense',
  'MaxPoolWithArgmax',
]);

/**
 * Kernels that the gradient with respect to an input runs, and that the wasm backend lacks or gets wrong
 * without `@tfjs-peft/kernels/wasm-training`.
 */
const BACKWARD: Readonly<Record<string, Record<number, string>>> = {
  Conv1D: {1: 'Conv2DBackpropFilter'},
  Conv2D: {1: 'Conv2DBackpropFilter'},
  _FusedConv2D: {1: 'Conv2DBackpropFilter'},
  Conv2DBackpropInput: {1: 'Conv2DBackpropFilter'},
  ...Object.fromEntries(
    ['DepthwiseConv2d', 'DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative'].map((op) => [
      op,
      {0: 'DepthwiseConv2dNativeBackpropInput', 1: 'DepthwiseConv2dNativeBackpropFilter'},
    ]),
  ),
  Gather: {0: 'UnsortedSegmentSum'},
  GatherV2: {0: 'UnsortedSegmentSum'},
};

/**
 * Whether a kernel is one that gradients run and that the wasm backend lacks without
 * `@tfjs-peft/kernels/wasm-training`.
 */
export function isBackward(kernel: string): boolean {
  return Object.values(BACKWARD).some((byInput) => Object.values(byInput).includes(kernel));
}

const isOurs = (kernel: string): boolean =>
  patchReasons(tf.getGradient(kernel)?.gradFunc).includes('gradients');

/** Why no correct gradient flows through a node or a kernel. */
export interface FoundFault {
  kernel: string;
  /** What to import; null if no package has a correct gradient. */
  by: string | null;
}

/**
 * Kernels whose values, and so the gradients that run them, are wrong on the wasm backend without
 * `@tfjs-peft/kernels/wasm-training`.
 */
function wrongOnWasm(flow: Flow): string | undefined {
  const {op, attribute} = flow;
  if (op === 'MaxPool') return 'MaxPoolGrad';
  const transposed = ['transposeA', 'transposeB'].every((name) => attribute(name) === true);
  if (op === '_FusedMatMul' && transposed) return 'BatchMatMul';
  return op.startsWith('BatchMatMul') && mayBeBroadcast(flow) ? 'BatchMatMul' : undefined;
}

/** Whether a kernel of the wasm backend is one of wasm-training. */
function isReplaced(kernel: string): boolean {
  return patchReasons(tf.getKernel(kernel, 'wasm')?.kernelFunc).includes('training');
}

/** What the wasm backend lacks for a gradient that flows through a node. */
function missingBackward(flow: Flow): FoundFault | undefined {
  if (!onWasm()) return undefined;
  const wrong = wrongOnWasm(flow);
  if (wrong !== undefined && !isReplaced(wrong)) return {kernel: wrong, by: WASM_TRAINING};
  for (const [input, kernel] of Object.entries(own(BACKWARD, flow.op) ?? {})) {
    if (!flow.carries(Number(input))) continue;
    // Our gradient does without it.
    if (kernel === 'UnsortedSegmentSum' && isOurs('GatherV2')) continue;
    if (tf.getKernel(kernel, 'wasm') == null) return {kernel, by: WASM_TRAINING};
  }
  return undefined;
}

/** Why no correct gradient flows through an op or kernel now; undefined if one does. */
export function faultOf(flow: Flow): FoundFault | undefined {
  const {op} = flow;
  for (const {kernel, when, final} of own(FAULTS, op) ?? []) {
    if (when !== undefined && !when(flow)) continue;
    if (final) return {kernel, by: null};
    if (!isOurs(kernel)) return {kernel, by: GRADIENTS};
    if (isDilated(flow)) return undefined;
  }
  const backward = missingBackward(flow);
  if (backward !== undefined) return backward;
  const kernel = own(KERNELS, op) ?? op;
  if (WITHIN.has(kernel) || tf.getGradient(kernel) != null) return undefined;
  if (tf.getKernel(kernel, tf.getBackend()) == null) return undefined;
  return {kernel, by: gradientBy(kernel)};
}

/** Whether a kernel that tfjs names is one that an op may run. */
export function runs(op: string, kernel: string): boolean {
  return (
    (own(KERNELS, op) ?? op).includes(kernel) ||
    (own(FAULTS, op) ?? []).some((fault) => fault.kernel === kernel)
  );
}

/** Whether the gradient of a kernel is one of `@tfjs-peft/kernels/gradients`. */
export function hasRightGradient(kernel: string): boolean {
  return isOurs(kernel);
}

/** The entry point that supplies a correct gradient of a kernel; null if none does. */
export function gradientBy(kernel: string): string | null {
  const repaired = Object.values(FAULTS).some((faults) =>
    faults.some((fault) => fault.kernel === kernel && !fault.final),
  );
  return repaired || SUPPLIED.has(kernel) ? GRADIENTS : null;
}
