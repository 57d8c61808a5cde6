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
 * its parts as for a batch that is the unit matrix, whose outputs are the rows of a kernel, and the result is compared with the site's own on random
 * input.
 *
 * @returns Tensors that belong to the caller.
 * @throws UnsupportedSiteError if it is not exact.
 */
export function mergeSite(operation: Operation, adapter: Adapter, label: string): Merged {
  const {frozen, activation} = operation;
  const refuse = (why: string) =>
    new UnsupportedSiteError(
      `${label}: its ${adapter.type} adapter cannot be merged exactly: ${why}. Save the model with its adapter instead.`,
    );
  if (adapter.reads === 'output') throw refuse('it reads the output');
  return tf.tidy(() => {
    const parts = partsOf(adapter, operation, refuse);
    const vectors = vectorsOf(parts, refuse);
    const merged = multiplyOut(frozen, parts, vectors, activation);
    check(operation, adapter, merged, label, refuse);
    return merged;
  });
}

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

/** Compares with the site itself: an adapter from outside may do more with what it is handed than the parts say. */
function check(operation: Operation, adapter: Adapter, merged: Merged, label: string, refuse: Refuse): void {
  const {dims, activation} = operation;
  if (dims.kind !== undefined && dims.kind !== 'projection') return;
  if (operation.base !== undefined) return;
  const x = tf.randomUniform([4, dims.inputDim], -1, 1, 'float32', 1);
  const run = {label: () => label, training: false};
  const expected = runSite(operation, adapter, x, run);
  const plain: Operation = {
    dims,
    frozen: {kernel: merged.kernel, ...(merged.bias && {bias: merged.bias})},
    activation,
  };
  const y = runSite(plain, null, x, run);
  const actual = merged.post === undefined ? y : tf.mul(y, merged.post);
  const most = (t: tf.Tensor) => tf.max(tf.abs(t)).dataSync()[0]!;
  const error = most(tf.sub(actual, expected));
  if (!(error <= 1e-3 * Math.max(1, most(expected))))
    throw refuse(`the result differs by ${error.toPrecision(2)}`);
}
