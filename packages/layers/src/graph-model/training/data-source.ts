import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, shared} from '@tfjs-peft/kernels';
import {arraySource, countSamples} from './array-source.js';
import {
  type BatchIterator,
  type Batching,
  checkBatch,
  describe,
  disposeBatch,
  type GraphArrays,
  type GraphBatch,
  type GraphData,
  type GraphPair,
  mapBatch,
  type Source,
} from './batches.js';

/** Training data, and the part of it that was split off for validation. */
export interface SplitSource {
  train: Source;
  validation?: Source;
}

/** Iterators that have run, so that none runs twice. */
const spent = shared('layers.spent-data', () => new WeakSet<object>());

const KINDS =
  'The data must be a dataset of batches {xs, ys}, an array or iterator of batches, a function ' +
  'that returns one of these, or {xs, ys} with all samples';

/**
 * Any data as passes over it.
 *
 * @throws ConfigError if it is nothing of which batches can be had.
 */
export function asSource(data: GraphData, batching: Batching = {}): Source {
  if (typeof data === 'function') return made(data);
  const arrays = asArrays(data);
  if (arrays !== undefined) return arraySource(arrays, batching, [0, countSamples(arrays)]);
  return streamed(data);
}

/**
 * Data in two parts, the last samples for validation, as `validationSplit` of `model.fit` has it.
 *
 * @throws ConfigError if it is no fraction that leaves samples to both, or the data do not hold all samples.
 */
export function splitSource(data: GraphData, split: number, batching: Batching): SplitSource {
  const arrays = typeof data === 'function' ? undefined : asArrays(data);
  if (arrays === undefined) {
    throw new ConfigError(
      'fit: validationSplit needs arrays {xs, ys} with all samples. With a dataset, set validationData ' +
        'instead.',
    );
  }
  const size = countSamples(arrays);
  const at = Math.floor(size * (1 - split));
  if (!(split > 0 && split < 1) || at < 1 || at === size) {
    throw new ConfigError(
      `fit: validationSplit is ${split}. Pass a fraction above 0 and below 1 that leaves each ` +
        `part some of the ${size} samples.`,
    );
  }
  return {
    train: arraySource(arrays, batching, [0, at]),
    validation: arraySource(arrays, {batchSize: batching.batchSize}, [at, size]),
  };
}

/** All samples, if data hold them. */
function asArrays(data: Exclude<GraphData, () => unknown>): GraphArrays | undefined {
  if (typeof data !== 'object' || data === null) throw new ConfigError(`${KINDS}, not ${describe(data)}.`);
  if (Array.isArray(data)) {
    // A list of batches or a pair; they are told apart below.
    const pair = data as unknown as GraphPair;
    const isBatch = ([first]: readonly unknown[]) =>
      typeof first === 'object' && first !== null && !Array.isArray(first) && 'xs' in first && 'ys' in first;
    if (pair.length < 2 || pair.length > 3 || isBatch(pair)) return undefined;
    const [xs, ys, sampleWeights] = pair;
    return {xs, ys, ...(sampleWeights !== undefined && {sampleWeights})};
  }
  return Object.hasOwn(data, 'xs') ? (data as GraphArrays) : undefined;
}

/** What gives batches one by one. */
function streamed(data: object): Source {
  const stream = data as Partial<Iterable<unknown> & AsyncIterable<unknown> & BatchIterator & Source>;
  if (typeof stream.iterator === 'function') {
    return {size: stream.size ?? null, once: false, iterator: async () => stream.iterator!()};
  }
  if (Array.isArray(data)) return arrayOfBatches(data as GraphBatch[]);
  if (typeof stream.next === 'function') return runOnce(stream as BatchIterator);
  const start = (stream[Symbol.asyncIterator] ?? stream[Symbol.iterator]) as (() => unknown) | undefined;
  if (typeof start !== 'function') throw new ConfigError(`${KINDS}, not ${describe(data)}.`);
  return {once: false, iterator: async () => start.call(data) as BatchIterator};
}

/** Batches whose tensors stay the caller's. */
function arrayOfBatches(batches: readonly GraphBatch[]): Source {
  return {
    size: batches.length,
    once: false,
    iterator: async () => {
      const own = batches[Symbol.iterator]();
      return {
        next: async () => {
          const {done, value} = own.next();
          if (done) return {done, value};
          return {done: false, value: await mapBatch(checkBatch(value), (tensor) => tf.clone(tensor))};
        },
      };
    },
  };
}

/** An iterator: there is no second pass over it. */
function runOnce(iterator: BatchIterator): Source {
  return {
    once: true,
    iterator: async () => {
      if (spent.has(iterator)) {
        throw new ConfigError(
          'The iterator was used before, and an iterator runs only once. Pass the function ' +
            'that creates it; it is called for each pass.',
        );
      }
      spent.add(iterator);
      return iterator;
    },
  };
}

/** A function that gives the batches anew for each pass. */
function made(make: () => unknown): Source {
  return {
    once: false,
    iterator: async () => {
      const data = await make();
      if (typeof data !== 'object' || data === null || Object.hasOwn(data, 'xs')) {
        throw new ConfigError(
          'A function passed as data must return a dataset or an iterator of batches {xs, ys}, not ' +
            `${describe(data)}.`,
        );
      }
      if (Array.isArray(data)) return ownBatches(data as GraphBatch[]);
      return streamed(data).iterator();
    },
  };
}

/** Batches that were made for this pass, so that nobody else disposes their tensors. */
function ownBatches(batches: readonly GraphBatch[]): BatchIterator {
  const rest = [...batches];
  return {
    next: () => (rest.length === 0 ? {done: true, value: undefined} : {done: false, value: rest.shift()}),
    return: () => {
      for (const batch of rest.splice(0)) disposeBatch(checkBatch(batch));
    },
  };
}
