import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '../errors.js';
import {definePeftGradient} from './gradients.js';
import {hasKernel, runPeftKernel} from './kernels.js';
import {checkTensor} from './shapes.js';

/**
 * Matrix product that costs the same in every transposition and when batched, on backends with a kernel of
 * ours.
 *
 * @param a [M, K], or [batch, M, K]; with `transposeA` its last two axes are swapped. float32.
 * @param b [K, N], or [batch, K, N]; with `transposeB` its last two axes are swapped. float32.
 * @param scale Multiplies the product. Default 1.
 * @returns [M, N], or [batch, M, N] if either operand has rank 3; a batch of 1 or a missing batch axis is
 * broadcast.
 * @throws ShapeError if ranks, dtypes, inner sizes or batch sizes do not fit.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {matMul} from '@tfjs-peft/kernels';
 *
 * const product = matMul(tf.ones([2, 3]), tf.ones([4, 3]), false, true); // [2, 4]
 * ```
 */
export function matMul(
  a: tf.Tensor,
  b: tf.Tensor,
  transposeA = false,
  transposeB = false,
  scale = 1,
): tf.Tensor {
  checkTensor('matMul', 'a', a, [2, 3]);
  checkTensor('matMul', 'b', b, [2, 3]);
  const innerA = a.shape[a.rank - (transposeA ? 2 : 1)]!;
  const innerB = b.shape[b.rank - (transposeB ? 1 : 2)]!;
  if (innerA !== innerB) {
    throw new ShapeError(
      `matMul: the inner sizes of a [${a.shape}] and b [${b.shape}] with transposeA=${transposeA}, ` +
        `transposeB=${transposeB} ` +
        `are ${innerA} and ${innerB}; they must be equal.`,
    );
  }
  const batchA = a.rank === 3 ? a.shape[0]! : 1;
  const batchB = b.rank === 3 ? b.shape[0]! : 1;
  if (batchA !== batchB && batchA !== 1 && batchB !== 1) {
    throw new ShapeError(
      `matMul: batch sizes ${batchA} of a and ${batchB} of b must be equal, or one of them 1.`,
    );
  }
  return product(a, b, transposeA, transposeB, scale);
}

/** {@link matMul} without its checks, for the ops of this package, times `scale`. */
export function product<T extends tf.Tensor = tf.Tensor2D>(
  a: tf.Tensor,
  b: tf.Tensor,
  transposeA = false,
  transposeB = false,
  scale = 1,
): T {
  return runPeftKernel('PeftMatMul', {a, b}, {transposeA, transposeB, scale}) as T;
}

/**
 * The sum over the rows of [n, d], or of its elementwise product with `by`, as a vector [d]: a kernel of ours
 * where there is one, else a product with a row of ones, which is faster than stock's Sum on wasm.
 */
export function columnSum(t: tf.Tensor2D, by?: tf.Tensor2D): tf.Tensor1D {
  if (hasKernel('PeftColumnSum')) return runPeftKernel('PeftColumnSum', {a: t, b: by}, {}) as tf.Tensor1D;
  if (by !== undefined) return tf.tidy(() => columnSum(tf.mul(t, by)));
  return tf.tidy(() => tf.reshape(product(tf.ones([1, t.shape[0]]), t), [t.shape[1]]));
}

/** Brings the gradient of a broadcast operand back to the operand's own shape. */
function unbroadcast(gradient: tf.Tensor, shape: number[]): tf.Tensor {
  if (tf.util.arraysEqual(gradient.shape, shape)) return gradient;
  const [batch, rows, columns] = gradient.shape as [number, number, number];
  return tf.reshape(columnSum(tf.reshape(gradient, [batch, rows * columns])), shape);
}

definePeftGradient('PeftMatMul', {inputs: ['a', 'b']}, ({dy, inputs: {a, b}, attrs}) => {
  const {transposeA, transposeB, scale} = attrs;
  return {
    a: () =>
      unbroadcast(
        transposeA ? product(b, dy, transposeB, true, scale) : product(dy, b, false, !transposeB, scale),
        a.shape,
      ),
    b: () =>
      unbroadcast(
        transposeB ? product(dy, a, true, transposeA, scale) : product(a, dy, !transposeA, false, scale),
        b.shape,
      ),
  };
});
