import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '../errors.js';

/** Throws unless `tensor` is float32 and of one of the ranks. */
export function checkTensor(op: string, name: string, tensor: tf.Tensor, ranks: readonly number[]): void {
  if (tensor.dtype !== 'float32') {
    throw new ShapeError(
      `${op}: ${name} is ${tensor.dtype}, but must be float32. Cast it: tf.cast(${name}, 'float32').`,
    );
  }
  if (!ranks.includes(tensor.rank)) {
    throw new ShapeError(
      `${op}: ${name} has shape [${tensor.shape}], but its rank must be ${ranks.join(' or ')}. Reshape it.`,
    );
  }
}

/** Throws unless the sizes are equal. */
export function checkSize(op: string, what: string, got: number, want: number, because: string): void {
  if (got !== want) throw new ShapeError(`${op}: ${what} is ${got}, but ${because} needs ${want}.`);
}

/** Folds all axes but the last into one: [..., d] to [n, d]. */
export function flatten(tensor: tf.Tensor): tf.Tensor2D {
  if (tensor.rank === 2) return tensor as tf.Tensor2D;
  const width = tensor.shape[tensor.rank - 1]!;
  return tf.reshape(tensor, [leadingSize(tensor.shape), width]);
}

/** The product of all axes but the last. */
export function leadingSize(shape: readonly number[]): number {
  return shape.slice(0, -1).reduce((product, size) => product * size, 1);
}

/** The ranks that activations may have: [..., d] with 1 to 5 leading axes. */
export const ACTIVATION_RANKS = [2, 3, 4, 5, 6] as const;
