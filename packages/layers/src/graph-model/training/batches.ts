import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {checkOptions, type RouterContext} from '@tfjs-peft/routers';
import type {GraphInputs} from './inputs.js';

/**
 * Targets of a {@link GraphTrainer}, one for each output: in the outputs' order, or by the outputs' names.
 */
export type GraphTargets = tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;

/** A batch to train on or to evaluate. Its tensors are disposed when it was used, as `fitDataset` does. */
export interface GraphBatch {
  /** Inputs of the GraphModel. They need not have a row for each sample. */
  xs: GraphInputs;
  /** Targets, with a row for each sample. */
  ys: GraphTargets;
  /**
   * How much each sample counts in the loss: [samples], or of the shape of the loss's values, such as
   * [samples, steps]. One tensor for all outputs, a list, or by the outputs' names; outputs without any count
   * all samples alike. Metrics do not look at them.
   */
  sampleWeights?: GraphTargets;
  /** What the batch brings along for routers; see {@link AnyPeft.setContext}. */
  context?: RouterContext;
}

/** Tensors that hold all samples, a row each. They stay the caller's. */
export interface GraphArrays {
  xs: GraphInputs;
  ys: GraphTargets;
  /** As in {@link GraphBatch}, with a row for each sample. */
  sampleWeights?: GraphTargets;
  /** As in {@link GraphBatch}: tensors with a row for each sample, or one row for all. */
  context?: RouterContext;
}

/** All samples as tfjs-layers takes them for validation. The tensors stay the caller's. */
export type GraphPair =
  | readonly [xs: GraphInputs, ys: GraphTargets]
  | readonly [xs: GraphInputs, ys: GraphTargets, sampleWeights: GraphTargets];

/**
 * Batches one after the other, once: what a generator function gives, say. `return` is
 * called if not all are asked for.
 */
export type GraphIterator = Iterator<GraphBatch> | AsyncIterator<GraphBatch>;

/**
 * Batches as often as they are asked for. `tf.data.Dataset` is one, of any pipeline
 * that gives {@link GraphBatch}es.
 */
export type GraphDataset =
  | {
      iterator(): Promise<{next(): Promise<IteratorResult<GraphBatch | tf.TensorContainer>>}>;
      readonly size?: number | null;
    }
  | Iterable<GraphBatch>
  | AsyncIterable<GraphBatch>;

/**
 * What a {@link GraphTrainer} takes for data: a dataset, run anew for each epoch; an array of batches, whose
 * tensors stay the caller's; a function that gives a dataset or an iterator, called for each epoch; an
 * iterator, which can be run once; or all samples.
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

/** Any data, as passes over it. What a pass gives is the taker's, who disposes it. */
export interface Source {
  iterator(): Promise<BatchIterator>;
  /** Batches in a pass, where that is known. */
  size?: number | null;
  /** Whether there can be one pass only. */
  once: boolean;
}

/** How {@link GraphArrays} become batches. */
export interface Batching {
  /** Samples in a batch, of arrays. Default 32. */
  batchSize?: number;
  /** Whether each epoch has the samples of arrays in an order of its own. */
  shuffle?: boolean;
  /** Seed of those orders: every fit has the same ones. Without one they differ every time. */
  seed?: number;
}

/** The keys of a {@link GraphBatch}. */
const KEYS = ['xs', 'ys', 'sampleWeights', 'context'] as const;

/**
 * Checks what some data gave as a batch.
 *
 * @throws ConfigError if it is no batch, has unknown keys, or tensors that are disposed already.
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
      'A batch has tensors that are disposed, as those of a batch are when it was used. Make new ones for each pass, or give an ' +
        'array of batches, whose tensors stay.',
    );
  }
  return value as GraphBatch;
}

/** @throws ConfigError unless it is an object with xs and ys, and no key that batches do not have. */
export function checkFields(what: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || !('xs' in value) || !('ys' in value)) {
    throw new ConfigError(`${what} must be {xs, ys}, not ${describe(value)}. Give it both.`);
  }
  checkOptions(what, value, KEYS);
}

function checkTensors(key: string, value: unknown): void {
  const tensors = typeof value === 'object' && value !== null ? tensorsOf(value) : [];
  if (tensors.length === 0 || !tensors.every((tensor) => tensor instanceof tf.Tensor)) {
    throw new ConfigError(
      `${key} must be a tensor, a list of tensors, or tensors by their names, not ${describe(value)}.`,
    );
  }
}

/** In words, for errors. */
export function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof tf.Tensor) return 'a tensor';
  const keys = Object.keys(value);
  return keys.length === 0 ? 'an empty object' : `an object with ${keys.map((key) => `'${key}'`).join(', ')}`;
}

/** Tensors that come alone, in a list or by names. */
export function tensorsOf(tensors: object): tf.Tensor[] {
  if (tensors instanceof tf.Tensor) return [tensors];
  return Object.values(tensors).filter((value) => typeof value !== 'function');
}

/** Gives back the tensors of a batch. */
export function disposeBatch({xs, ys, sampleWeights, context}: GraphBatch): void {
  for (const part of [xs, ys, sampleWeights, context]) if (part !== undefined) tf.dispose(tensorsOf(part));
}

/** Each tensor of a batch through a function; what else is in its context stays. */
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

/** @throws ShapeError unless all targets have a row for each sample. */
export function countRows(targets: readonly tf.Tensor[]): number {
  const sizes = new Set(targets.map(({shape}) => shape[0]));
  const [size] = sizes;
  if (sizes.size !== 1 || size === undefined || size === 0) {
    const found = targets.map(({shape}) => `[${shape}]`).join(' and ');
    throw new ShapeError(`The targets of a batch must have a row for each sample, not ${found}.`);
  }
  return size;
}
