import * as tf from '@tensorflow/tfjs-core';
import {type CombineParts, combine, type Scale, UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {Adapter} from '../adapters/adapter.js';
import type {Operation, SiteActivation} from './operation.js';
import {runSite} from './run-site.js';

/** A frozen operation with an adapter worked into it: post ∘ act(x W' + b'). */
export type Merged = {
  /** W', [inputDim, outputDim]. */
  kernel: tf.Tensor2D;
  /** b', [outputDim]; absent where it is the frozen one. */
  bias?: tf.Tensor1D;
  /** [outputDim]; absent where nothing is left to do behind the activation. */
  post?: tf.Tensor1D;
};

/** What an adapter asks for that only a batch has. */
class AsksForBatch extends Error {}

/**
 * Works an adapter into the frozen weights, where that is exact: where no part of its expression depends on the batch. It is asked for
 * its parts as for a batch that is the unit matrix, whose outputs are the rows of a kernel, and the result is compared with the site's own
 * on random input.
 *
 * @returns Tensors that belong to the caller.
 * @throws UnsupportedSiteError if it is not exact.
 */
export async function mergeSite(operation: Operation, adapter: Adapter, label: string): Promise<Merged> {
  const refuse = (why: string) =>
    new UnsupportedSiteError(
      `${label}: its ${adapter.type} adapter cannot be merged exactly: ${why}. Save the model with its adapter instead.`,
    );
  if (adapter.reads === 'output') throw refuse('it reads the output');
  const merged = tf.tidy(() => {
    const parts = partsOf(adapter, operation, refuse);
    return multiplyOut(operation.frozen, parts, vectorsOf(parts, refuse), operation.activation);
  });
  const deviation = await deviationOf(operation, adapter, merged, label);
  if (deviation <= TOLERANCE) return merged;
  tf.dispose(merged);
  throw refuse(`the result differs by ${deviation.toPrecision(2)}`);
}

/** Rounding alone stays far below. */
const TOLERANCE = 1e-3;

type Refuse = (why: string) => UnsupportedSiteError;

function partsOf(adapter: Adapter, {frozen}: Operation, refuse: Refuse): CombineParts {
  const ask = (): never => {
    throw new AsksForBatch();
  };
  try {
    return adapter.parts({
      get input() {
        return ask();
      },
      get context() {
        return ask();
      },
      training: false,
      ...frozen,
      // The unit matrix by A.
      project: ({a, columns, gates}) => (columns === undefined && gates === undefined ? {h: a} : ask()),
    });
  } catch (error) {
    if (error instanceof AsksForBatch) throw refuse('its gates depend on the input');
    throw error;
  }
}

const SCALES = ['pre', 'alpha', 'beta', 'post'] as const;
type Vectors = Partial<Record<(typeof SCALES)[number], tf.Tensor1D>>;

function vectorsOf(parts: CombineParts, refuse: Refuse): Vectors {
  if (parts.gates !== undefined) throw refuse('it is a mixture');
  const vectors: Vectors = {};
  for (const name of SCALES) {
    const scale: Scale | undefined = parts[name];
    if (scale === undefined) continue;
    if (!(scale instanceof tf.Tensor)) throw refuse('it is a mixture');
    vectors[name] = scale;
  }
  return vectors;
}

function multiplyOut(
  {kernel, bias}: Operation['frozen'],
  {h, b, scale, offset}: CombineParts,
  {pre, alpha, beta, post}: Vectors,
  activation: SiteActivation | undefined,
): Merged {
  const scaled = pre === undefined ? kernel : (tf.mul(kernel, tf.reshape(pre, [-1, 1])) as tf.Tensor2D);
  const z = tf.clone(scaled);
  const tail = {...(h && {h}), ...(b && {b}), ...(scale !== undefined && {scale})};
  const linear = activation === undefined;
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
 * How far the merged operation is from the site itself, on random input and in parts of the largest output: an adapter from outside may
 * do more with what it is handed than its parts say. 0 for what is no plain product, whose inputs are of shapes that are not known.
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
