import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {type RouterContext, uniformNumbers} from '@tfjs-peft/routers';
import type {GraphInputs} from './forward.js';

type Targets = tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;

/** A batch to train on or to evaluate. Its tensors are disposed when it was used, as `fitDataset` does. */
export interface GraphBatch {
  /** Inputs of the GraphModel. They need not have a row for each sample. */
  xs: GraphInputs;
  /** Targets, with a row for each sample. */
  ys: Targets;
  /** What the batch brings along for routers; see {@link Peft.setContext}. */
  context?: RouterContext;
}

/** A dataset of batches: `tf.data.Dataset` is one, and so is anything that can be iterated anew for each epoch. */
export type GraphDataset =
  | {iterator(): Promise<{next(): Promise<IteratorResult<GraphBatch>>}>; size?: number | null}
  | Iterable<GraphBatch>
  | AsyncIterable<GraphBatch>;

/** Tensors that hold all samples, a row each. They stay the caller's. */
export interface GraphArrays {
  xs: GraphInputs;
  ys: Targets;
}

export type GraphData = GraphDataset | GraphArrays;

export interface Batching {
  /** Samples in a batch, of arrays. Default 32. */
  batchSize?: number;
  /** Whether each epoch has the samples of arrays in an order of its own. */
  shuffle?: boolean;
  /** Seed of those orders. Without one they differ every time. */
  seed?: number;
}

interface Source {
  iterator(): Promise<{next(): Promise<IteratorResult<GraphBatch>>}>;
  size?: number | null;
}

/** Any data as what tfjs-layers takes for a dataset. */
export function asDataset(data: GraphData, batching: Batching): Source {
  if (typeof data !== 'object' || data === null) {
    throw new ConfigError('The data must be a dataset of batches {xs, ys}, or {xs, ys} with all samples.');
  }
  if ('iterator' in data) return data;
  if (Symbol.asyncIterator in data) {
    return {iterator: async () => data[Symbol.asyncIterator]()};
  }
  if (Symbol.iterator in data) {
    return {
      iterator: async () => {
        const own = data[Symbol.iterator]();
        return {next: async () => own.next()};
      },
    };
  }
  return arrays(data, batching);
}

/** The first batch of a dataset; the rest of that pass is left. */
export async function firstBatch(source: Source): Promise<GraphBatch> {
  const {value} = await (await source.iterator()).next();
  if (value === undefined) throw new ConfigError('The dataset has no batch.');
  return value;
}

/** Gives back the tensors of a batch. */
export function disposeBatch({xs, ys}: GraphBatch): void {
  tf.dispose([xs, ys]);
}

/** Tensors in a list, an object or alone, each through a function. */
function mapTensors<T extends GraphInputs>(tensors: T, change: (tensor: tf.Tensor) => tf.Tensor): T {
  if (tensors instanceof tf.Tensor) return change(tensors) as T;
  if (Array.isArray(tensors)) return tensors.map(change) as T;
  const entries = Object.entries(tensors as tf.NamedTensorMap);
  return Object.fromEntries(entries.map(([key, tensor]) => [key, change(tensor)])) as T;
}

function arrays({xs, ys}: GraphArrays, {batchSize = 32, shuffle = false, seed}: Batching): Source {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new ConfigError(`batchSize must be a whole number of at least 1, not ${batchSize}.`);
  }
  const sizes = new Set<number | undefined>();
  const see = (tensor: tf.Tensor) => {
    sizes.add(tensor.shape[0]);
    return tensor;
  };
  mapTensors(xs, see);
  mapTensors(ys as GraphInputs, see);
  const [size] = sizes;
  if (sizes.size !== 1 || size === undefined || size === 0) {
    throw new ShapeError(
      `All tensors of xs and ys must have a row for each sample, not ${[...sizes].join(' and ')} rows. Give a dataset of batches ` +
        'where the inputs have other rows.',
    );
  }
  let passes = 0;
  return {
    size: Math.ceil(size / batchSize),
    iterator: async () => {
      const order = Int32Array.from({length: size}, (_, i) => i);
      if (shuffle) shuffleWith(order, seed === undefined ? Math.random : uniformNumbers(seed + passes++));
      let start = 0;
      return {
        next: async () => {
          if (start >= size) return {done: true, value: undefined};
          const first = start;
          start += batchSize;
          const rows = order.subarray(first, start);
          const take = (tensor: tf.Tensor) =>
            tf.tidy(() =>
              shuffle
                ? tf.gather(tensor, tf.tensor1d(rows, 'int32'))
                : tf.slice(tensor, [first], [rows.length]),
            );
          return {done: false, value: {xs: mapTensors(xs, take), ys: mapTensors(ys as GraphInputs, take)}};
        },
      };
    },
  };
}

/** Fisher and Yates' shuffle. */
function shuffleWith(order: Int32Array, random: () => number): void {
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
}
