import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import type {Hashable} from '../core/io/weight-hashes.js';
import type {Executor} from './internals.js';

/** @throws ConfigError if the model of a graph is disposed. */
export function checkAlive({weightMap}: Executor): void {
  if (Object.values(weightMap).some((tensors) => tensors.some((tensor) => tensor?.isDisposed)))
    throw new ConfigError('The GraphModel is disposed. Load it again.');
}

/** Number of parameters of a graph. Whole numbers are none: they are shapes and axes. */
export function countParameters({weightMap}: Executor): number {
  const weights = Object.values(weightMap).flat();
  return weights.reduce((sum, {dtype, size}) => sum + (dtype === 'float32' ? size : 0), 0);
}

/** The weights of a graph, to be hashed. */
export function hashableWeights({weightMap}: Pick<Executor, 'weightMap'>): Hashable[] {
  return Object.entries(weightMap).flatMap(([name, tensors]) =>
    tensors.map((tensor) => ({
      name,
      shape: tensor.shape,
      read: () => (tensor.dtype === 'string' ? bytesOf(tensor) : tensor.data()),
    })),
  );
}

async function bytesOf(tensor: tf.Tensor): Promise<Uint8Array> {
  const texts = (await tensor.bytes()) as Uint8Array[];
  return new Uint8Array(texts.flatMap((text) => [...text, 0]));
}
