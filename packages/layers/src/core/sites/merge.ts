import * as tf from '@tensorflow/tfjs-core';
import {
  type CombineParts,
  combine,
  SCALES,
  type Scale,
  type ScaleName,
  UnsupportedSiteError,
} from '@tfjs-peft/kernels';
import type {Adapter} from '../adapters/adapter.js';
import {packedOf} from '../tfjs/packed-variable.js';
import type {Operation, SiteActivation} from './operation.js';
import {runSite} from './run-site.js';

/** A frozen operation with an adapter worked into it: post ∘ act(x W' + b'). */
export type Merged = {
  /** W', [inputDim, outputDim]. */
  kernel: tf.Tensor2D;
  /** b', [outputDim]; absent where it is the frozen one. */
  bias?: tf.Tensor1D;
  /** [outputDim]; absent if nothing is left to do after the activation. */
  post?: tf.Tensor1D;
};

/** Thrown when an adapter asks for something that only a batch has. */
class AsksForBatch extends Error {}

/**
 * Works an adapter into the frozen weights, if that is exact: if nothing but its low-rank tail is computed
 * from the batch. The adapter returns its parts for a batch that is the identity matrix, whose outputs are
 * the rows of a kernel, and the result is compared with the site's own on random input.
 *
 * @returns Tensors that belong to the caller.
 * @throws UnsupportedSiteError if it is not exact.
 */
export async function mergeSite(operation: Operation, adapter: Adapter, label: string): Promise<Merged> {
  const refuse = (why: string) =>
    new UnsupportedSiteError(
      `${label}: its ${adapter.type} adapter cannot be merged exactly: ${why}. Save the model with its adapter instead.`,
    );
  if (adapter.virtualTokens) throw refuse('it puts tokens before the output');
  if (tf.tidy(() => packedOf(operation.frozen.kernel) !== undefined)) {
    throw new UnsupportedSiteError(
      `${label}: its weight is quantised, and rounding the merged weight would lose much of the adapter's ` +
        'change. Call dequantizeModel(model) before you merge, or save the model with its adapter.',
    );
  }
  const dependence = tf.tidy(() => dependenceOf(adapter, operation, refuse));
  const [depends] = await dependence.data();
  dependence.dispose();
  // NaN if the batch holds NaN.
  if (depends !== 0) throw refuse(BY_BATCH);
  const merged = tf.tidy(() => {
    const parts = partsOf(adapter, operation, unitBatch(adapter, operation), refuse);
    const vectors = vectorsOf(parts);
    if (adapter.reads !== 'output')
      return multiplyOut(operation.frozen, parts, vectors, operation.activation);
    // Whatever scales the output scales it after the activation, whichever part it is.
    const {alpha, post = alpha, ...others} = vectors;
    if (
      Object.keys(others).length > 0 ||
      parts.h !== undefined ||
      parts.offset !== undefined ||
      post === undefined
    )
      throw refuse('it reads the output, and does more than scale it');
    const both = alpha === undefined || post === alpha ? post : (tf.mul(alpha, post) as tf.Tensor1D);
    return multiplyOut(operation.frozen, {}, {post: both}, operation.activation);
  });
  const deviation = await deviationOf(operation, adapter, merged, label);
  if (deviation <= TOLERANCE) return merged;
  tf.dispose(merged);
  throw refuse(`the result differs by ${deviation.toPrecision(2)}`);
}

/** Rounding alone stays far below. */
const TOLERANCE = 1e-3;

const BY_BATCH = 'its gates depend on the input';

type Refuse = (why: string) => UnsupportedSiteError;

/**
 * What an adapter is shown as a batch: with as many rows as the site has inputs, so that
 * gates fit the rows of the kernel.
 */
interface Batch {
  /** What routers see. */
  input: tf.Tensor2D;
  /** The site's input times a matrix of its height. */
  times(a: tf.Tensor2D): tf.Tensor2D;
}

function batchOf(
  {reads}: Adapter,
  {dims: {inputDim, outputDim, routerDim = inputDim}}: Operation,
  value: (shape: [number, number]) => tf.Tensor2D,
): Batch {
  const x = value([inputDim, inputDim]);
  return {
    input: value([inputDim, reads === 'output' ? outputDim : routerDim]),
    times: (a) => tf.matMul(x, a),
  };
}

const randomBatch = (adapter: Adapter, operation: Operation, seed: number): Batch =>
  batchOf(adapter, operation, (shape) => tf.randomUniform(shape, -1, 1, 'float32', seed) as tf.Tensor2D);

/**
 * The identity matrix, which leaves each A as it is. What routers see does not matter once it is known that
 * they do not read it.
 */
const unitBatch = (adapter: Adapter, operation: Operation): Batch => ({
  ...randomBatch(adapter, operation, 1),
  times: (a) => a,
});

function partsOf(adapter: Adapter, {frozen}: Operation, batch: Batch, refuse: Refuse): CombineParts {
  const ask = (): never => {
    throw new AsksForBatch();
  };
  const context = {
    get intuition() {
      return ask();
    },
    get sentence() {
      return ask();
    },
    get task() {
      return ask();
    },
  };
  try {
    return adapter.parts({
      input: batch.input,
      context,
      training: false,
      ...frozen,
      project: ({a, columns}) => ({
        h: batch.times(a),
        ...(columns && {columns: batch.times(tf.slice(frozen.kernel, [0, 0], [-1, columns]))}),
      }),
    });
  } catch (error) {
    if (error instanceof AsksForBatch) throw refuse(BY_BATCH);
    throw error;
  }
}

/**
 * How much an adapter's gates, scales and offsets vary with the batch and from row to row: 0 if they do not.
 * One of the batches is all NaN, which shows even through weights that are still zero.
 */
function dependenceOf(adapter: Adapter, operation: Operation, refuse: Refuse): tf.Tensor {
  const batches = [
    randomBatch(adapter, operation, 1),
    randomBatch(adapter, operation, 2),
    batchOf(adapter, operation, (shape) => tf.fill(shape, Number.NaN) as tf.Tensor2D),
  ];
  const most = (difference: tf.Tensor) => tf.max(tf.abs(difference));
  const parts = batches.map((batch) => {
    const {h: _, ...rest} = partsOf(adapter, operation, batch, refuse);
    return rest;
  });
  const [first, ...others] = parts.map(tensorsOf);
  const byBatch = others.flatMap((tensors) => tensors.map((tensor, i) => most(tf.sub(tensor, first![i]!))));
  const byRow = gatesOf(parts[0]!).map((gates) => most(tf.sub(gates, tf.slice(gates, [0], [1]))));
  return tf.addN([tf.scalar(0), ...byBatch, ...byRow]);
}

function gatesOf(parts: CombineParts): tf.Tensor[] {
  const ofScales = SCALES.flatMap((name) => {
    const scale: Scale | undefined = parts[name];
    return scale === undefined || scale instanceof tf.Tensor ? [] : [scale.gates];
  });
  return [...(parts.gates ? [parts.gates] : []), ...ofScales];
}

/** All that an adapter gives, gates and tables of scales too. */
function tensorsOf(parts: CombineParts): tf.Tensor[] {
  const given = Object.values(parts).flatMap((part: unknown) =>
    typeof part === 'object' && !(part instanceof tf.Tensor) ? Object.values(part!) : [part],
  );
  return given.filter((part): part is tf.Tensor => part instanceof tf.Tensor);
}

type Vectors = Partial<Record<ScaleName, tf.Tensor1D>>;

/** Each scale as the vector that it is at the first row. */
function vectorsOf(parts: CombineParts): Vectors {
  const vectors: Vectors = {};
  for (const name of SCALES) {
    const scale: Scale | undefined = parts[name];
    if (scale === undefined) continue;
    vectors[name] = scale instanceof tf.Tensor ? scale : atFirstRow(scale);
  }
  return vectors;
}

function atFirstRow(scale: Exclude<Scale, tf.Tensor>): tf.Tensor1D {
  const gates = tf.slice(scale.gates, [0], [1]);
  const z = tf.ones([1, scale.table.shape[1]]);
  return tf.reshape(combine({z, alpha: {...scale, gates}}), [-1]) as tf.Tensor1D;
}

function multiplyOut(
  {kernel, bias}: Operation['frozen'],
  {h, b, scale, offset, mix, gates, topK}: CombineParts,
  {pre, alpha, beta, post}: Vectors,
  activation: SiteActivation | undefined,
): Merged {
  const scaled = pre === undefined ? kernel : (tf.mul(kernel, tf.reshape(pre, [-1, 1])) as tf.Tensor2D);
  const z = tf.clone(scaled);
  const tail = {
    ...(h && {h}),
    ...(b && {b}),
    ...(scale !== undefined && {scale}),
    ...(mix && {mix}),
    ...(gates && {gates}),
    ...(topK && {topK}),
  };
  const linear = activation === undefined || activation.fused === 'linear';
  const times = (x: tf.Tensor, vector: tf.Tensor | undefined) =>
    vector === undefined ? x : tf.mul(x, vector);
  const behind = linear ? post : undefined;
  const inside = combine({z, ...tail, ...(alpha && {alpha}), ...(beta && {beta})});
  const shifted =
    bias !== undefined || offset !== undefined
      ? tf.add(bias === undefined ? 0 : times(bias, alpha), offset ?? 0)
      : undefined;
  return {
    kernel: times(inside, behind) as tf.Tensor2D,
    ...(shifted && {bias: times(shifted, behind) as tf.Tensor1D}),
    ...(post && !linear && {post: tf.clone(post)}),
  };
}

/**
 * How far the merged operation is from the site itself on random input, relative to the largest output: a
 * third-party adapter may do more with its inputs than its parts say. 0 for anything but a plain product,
 * since the shape of its inputs is unknown.
 */
async function deviationOf(
  operation: Operation,
  adapter: Adapter,
  {kernel, bias, post}: Merged,
  label: string,
): Promise<number> {
  const {dims, activation, base} = operation;
  if (base !== undefined) return 0;
  const deviation = tf.tidy(() => {
    const x = tf.randomUniform([4, dims.inputDim], -1, 1, 'float32', 1);
    const run = {label: () => label, training: false};
    const expected = runSite(operation, adapter, x, run);
    const y = runSite({dims, frozen: {kernel, ...(bias && {bias})}, activation}, null, x, run);
    const most = (t: tf.Tensor) => tf.max(tf.abs(t));
    const error = most(tf.sub(post === undefined ? y : tf.mul(y, post), expected));
    return tf.div(error, tf.maximum(most(expected), 1));
  });
  const [value] = await deviation.data();
  deviation.dispose();
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value!;
}
