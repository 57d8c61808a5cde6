import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '@tfjs-peft/kernels';
import {checkInteger, uniformNumbers} from '@tfjs-peft/routers';
import {
  type Batching,
  checkBatch,
  checkFields,
  type GraphArrays,
  type GraphBatch,
  mapBatch,
  type Source,
  tensorsOf,
} from './batches.js';

/** Which rows of all samples are taken: from the first up to the second. */
export type Rows = readonly [from: number, to: number];

/**
 * How many samples there are.
 *
 * @throws ConfigError or ShapeError if they are no tensors with a row for each.
 */
export function countSamples(arrays: GraphArrays): number {
  checkFields('The data', arrays);
  const {xs, ys, sampleWeights = [], context = {}} = checkBatch(arrays);
  const tensors = [xs, ys, sampleWeights].flatMap(tensorsOf);
  const sizes = new Set(tensors.map(({shape}) => shape[0]));
  const [size] = sizes;
  if (sizes.size !== 1 || size === undefined || size === 0) {
    throw new ShapeError(
      'xs, ys and sampleWeights must all have one row per sample, but have ' +
        `${[...sizes].join(' and ')} rows. If the inputs have a different number of rows, pass a ` +
        'dataset of batches.',
    );
  }
  const odd = tensorsOf(context).find(({shape}) => shape[0] !== size && shape[0] !== 1);
  if (odd !== undefined) {
    throw new ShapeError(
      `context: a tensor has the shape [${odd.shape}]. Pass one row for each of the ${size} ` +
        'samples, or one row for all.',
    );
  }
  return size;
}

/** Batches of some rows of all samples; if shuffled, in a new order at each pass. */
export function arraySource(
  arrays: GraphArrays,
  {batchSize: given, shuffle = false, seed}: Batching,
  [from, to]: Rows,
): Source {
  const batchSize = checkInteger('data', 'batchSize', given, {fallback: 32});
  const size = to - from;
  let passes = 0;
  return {
    size: Math.ceil(size / batchSize),
    once: false,
    iterator: async () => {
      const order = Int32Array.from({length: size}, (_, i) => from + i);
      if (shuffle) shuffleWith(order, seed === undefined ? Math.random : uniformNumbers(seed + passes++));
      let start = 0;
      return {
        next: async () => {
          if (start >= size) return {done: true, value: undefined};
          const rows = order.subarray(start, start + batchSize);
          start += batchSize;
          const value = await mapBatch<GraphBatch>(arrays, (tensor, key) =>
            key === 'context' && tensor.shape[0] === 1 ? tf.clone(tensor) : take(tensor, rows, shuffle),
          );
          return {done: false, value};
        },
      };
    },
  };
}

/** Rows of a tensor. Strings are picked in JavaScript, because not every backend gathers them. */
async function take(tensor: tf.Tensor, rows: Int32Array, shuffled: boolean): Promise<tf.Tensor> {
  if (tensor.dtype === 'string') {
    const texts = (await tensor.bytes()) as Uint8Array[];
    const [, ...rest] = tensor.shape;
    const row = tf.util.sizeFromShape(rest);
    const inputsOfKind = [...rows].flatMap((at) => texts.slice(at * row, (at + 1) * row));
    return tf.tensor(inputsOfKind, [rows.length, ...rest], 'string');
  }
  return tf.tidy(() =>
    shuffled ? tf.gather(tensor, tf.tensor1d(rows, 'int32')) : tf.slice(tensor, [rows[0]!], [rows.length]),
  );
}

/** Fisher and Yates' shuffle. */
function shuffleWith(order: Int32Array, random: () => number): void {
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
}
