import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {checkOptions, type RouterContext} from '@tfjs-peft/routers';
import type {GraphInputs} from './inputs.js';

/** Targets of a {@link GraphTrainer}, one per output: in the outputs' order, or by the outputs' names. */
export type GraphTargets = tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;

/** A batch for training or evaluation. Its tensors are disposed after use, as with `fitDataset`. */
export interface GraphBatch {
  /** Inputs of the GraphModel. They may have any shape that the graph takes. */
  xs: GraphInputs;
  /** Targets, with one row per sample. */
  ys: GraphTargets;
  /**
   * Weight of each sample in the loss: [samples], or the shape of the loss's values, such as [samples,
   * steps]. One tensor for all outputs, a list, or an object by the outputs' names. Default: all weights are
   * 1. Metrics ignore them.
   */
  sampleWeights?: GraphTargets;
  /** Further inputs of the routers for this batch; see {@link AnyPeft.setContext}. */
  context?: RouterContext;
}

/** Tensors with all samples, one row per sample. You dispose them yourself. */
export interface GraphArrays {
  xs: GraphInputs;
  ys: GraphTargets;
  /** As in {@link GraphBatch}, with one row per sample. */
  sampleWeights?: GraphTargets;
  /** As in {@link GraphBatch}: tensors with one row per sample, or one row for all. */
  context?: RouterContext;
}

/** All samples in the form of tfjs-layers' `validationData`. You dispose the tensors yourself. */
export type GraphPair =
  | readonly [xs: GraphInputs, ys: GraphTargets]
  | readonly [xs: GraphInputs, ys: GraphTargets, sampleWeights: GraphTargets];

/**
 * An iterator over batches, such as a generator. It can be used once; `return` is called if not all batches
 * are used.
 */
export type GraphIterator = Iterator<GraphBatch> | AsyncIterator<GraphBatch>;

/** Data that can be iterated repeatedly, such as a `tf.data.Dataset` of {@link GraphBatch}es. */
export type GraphDataset =
  | {
      iterator(): Promise<{next(): Promise<IteratorResult<GraphBatch | tf.TensorContainer>>}>;
      readonly size?: number | null;
    }
  | Iterable<GraphBatch>
  | AsyncIterable<GraphBatch>;

/**
 * Data of a {@link GraphTrainer}: a dataset, iterated in each epoch; an array of batches, whose tensors you
 * dispose yourself; a function that returns a dataset or an iterator, called in each epoch; an iterator,
 * which can be used once; or arrays with all samples.
 */
export type GraphData =
  | GraphDataset
  | readonly GraphBatch[]
  | GraphIterator
  | (() => GraphDataset | GraphIterator | Promise<GraphDataset | GraphIterator>)
  | GraphArrays
  | GraphPair;

/** One pass over some data. */
export interface BatchIterator {
  next(): Promise<IteratorResult<unknown>> | IteratorResult<unknown>;
  return?(): unknown;
}

/** Data as passes over it. The consumer of a pass disposes its tensors. */
export interface Source {
  iterator(): Promise<BatchIterator>;
  /** Batches per pass, if known. */
  size?: number | null;
  /** Whether only one pass is possible. */
  once: boolean;
}

/** How {@link GraphArrays} are split into batches. */
export interface Batching {
  /** For arrays: samples per batch. Default 32. */
  batchSize?: number;
  /** For arrays: whether to shuffle the samples in each epoch. Default false. */
  shuffle?: boolean;
  /** Seed of the shuffling, so that every `fit` uses the same orders. Default: different every time. */
  seed?: number;
}

/** The keys of a {@link GraphBatch}. */
const KEYS = ['xs', 'ys', 'sampleWeights', 'context'] as const;

/**
 * Checks one batch of some data.
 *
 * @throws ConfigError if it is not a batch, has unknown keys, or has disposed tensors.
 */
export function checkBatch(value: unknown): GraphBatch {
  checkFields('A batch', value);
  const {xs, ys, sampleWeights, context} = value as GraphBatch;
  checkTensors('xs', xs);
  checkTensors('ys', ys);
  if (sampleWeights !== undefined) checkTensors('sampleWeights', sampleWeights);
  const tensors = [xs, ys, sampleWeights, context].flatMap((part) => part && tensorsOf(part));
  if (tensors.some((tensor) => tensor?.isDisposed)) {
    throw new ConfigError(
      'A batch has disposed tensors: the trainer disposes the tensors of a batch after use. ' +
        'Make new tensors for each pass, or pass an array of batches, whose tensors are kept.',
    );
  }
  return value as GraphBatch;
}

/** @throws ConfigError unless `value` is an object with xs and ys and no unknown key. */
export function checkFields(what: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || !('xs' in value) || !('ys' in value)) {
    throw new ConfigError(`${what} must be {xs, ys}, not ${describe(value)}. Pass both xs and ys.`);
  }
  checkOptions(what, value, KEYS);
}

function checkTensors(key: string, value: unknown): void {
  const tensors = typeof value === 'object' && value !== null ? tensorsOf(value) : [];
  if (tensors.length === 0 || !tensors.every((tensor) => tensor instanceof tf.Tensor)) {
    throw new ConfigError(
      `${key} must be a tensor, a list of tensors, or an object of tensors by name, not ${describe(value)}.`,
    );
  }
}

/** Describes a value in an error. */
export function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof tf.Tensor) return 'a tensor';
  const keys = Object.keys(value);
  return keys.length === 0 ? 'an empty object' : `an object with ${keys.map((key) => `'${key}'`).join(', ')}`;
}

/** All tensors of a tensor, a list or an object. */
export function tensorsOf(tensors: object): tf.Tensor[] {
  if (tensors instanceof tf.Tensor) return [tensors];
  return Object.values(tensors).filter((value) => typeof value !== 'function');
}

/** Disposes the tensors of a batch. */
export function disposeBatch({xs, ys, sampleWeights, context}: GraphBatch): void {
  for (const part of [xs, ys, sampleWeights, context]) if (part !== undefined) tf.dispose(tensorsOf(part));
}

/** Maps each tensor of a batch; other values of its context are kept. */
export async function mapBatch<T extends GraphBatch>(
  batch: T,
  change: (tensor: tf.Tensor, key: keyof GraphBatch) => tf.Tensor | Promise<tf.Tensor>,
): Promise<T> {
  const through = async (part: unknown, key: keyof GraphBatch): Promise<unknown> => {
    if (part instanceof tf.Tensor) return change(part, key);
    if (Array.isArray(part)) return Promise.all(part.map((each) => through(each, key)));
    if (typeof part !== 'object' || part === null) return part;
    const entries = Object.entries(part).map(async ([name, each]) => [name, await through(each, key)]);
    return Object.fromEntries(await Promise.all(entries));
  };
  const entries = Object.entries(batch).map(async ([key, part]) => [
    key,
    await through(part, key as keyof GraphBatch),
  ]);
  return Object.fromEntries(await Promise.all(entries)) as T;
}

/** @throws ShapeError unless all targets have the same number of rows, at least 1. */
export function countRows(targets: readonly tf.Tensor[]): number {
  const sizes = new Set(targets.map(({shape}) => shape[0]));
  const [size] = sizes;
  if (sizes.size !== 1 || size === undefined || size === 0) {
    const found = targets.map(({shape}) => `[${shape}]`).join(' and ');
    throw new ShapeError(
      `The targets ys of a batch must have one row per sample, but have the shapes ${found}.`,
    );
  }
  return size;
}
