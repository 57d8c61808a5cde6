import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '../errors.js';
import {matrixShape} from '../leading-axes.js';

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
export const ACTIVATION_RANKS: readonly number[] = [2, 3, 4, 5, 6];

/**
 * `tensor` as it is if it has the leading axes that its kernel is told of; else flattened, with as many rows.
 */
export function withLeading<T extends tf.Tensor | undefined>(tensor: T, leading: readonly number[]): T {
  if (tensor === undefined || tensor.rank <= 2) return tensor;
  const own = tensor.shape.slice(0, leading.length);
  return tf.util.arraysEqual(own, [...leading]) ? tensor : (flatten(tensor) as tf.Tensor as T);
}

/** `tensor` as the matrix that its kernel saw. */
export function asMatrix(tensor: tf.Tensor, leading: number[] | undefined): tf.Tensor2D {
  if (leading === undefined || tensor.rank <= 2) return tensor as tf.Tensor2D;
  return tf.reshape(tensor, matrixShape(tensor.shape, leading));
}

/** Wraps a gradient function so that its result has the shape of the tensor whose gradient it is. */
export function shapedAs(tensor: tf.Tensor, gradient: () => tf.Tensor): () => tf.Tensor {
  if (tensor.rank <= 2) return gradient;
  return () => {
    const flat = gradient();
    const shaped = tf.reshape(flat, tensor.shape);
    flat.dispose();
    return shaped;
  };
}
