import * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';
import {unbroadcast} from './broadcast.js';

/** [batch, m, k] to [batch·m, k], which makes the gradient of an operand without a batch axis one product. */
function fold(t: tf.Tensor): tf.Tensor2D {
  return tf.reshape(t, [-1, t.shape[t.rank - 1]!]);
}

function batchMatMulGradient(
  dy: tf.Tensor,
  a: tf.Tensor,
  b: tf.Tensor,
  transposeA: boolean,
  transposeB: boolean,
): {a: () => tf.Tensor; b: () => tf.Tensor} {
  const multiply = (p: tf.Tensor, q: tf.Tensor, tp: boolean, tq: boolean): tf.Tensor =>
    tf.matMul(p, q, tp, tq);
  return {
    a: () =>
      unbroadcast(
        transposeA ? multiply(b, dy, transposeB, true) : multiply(dy, b, false, !transposeB),
        a.shape,
      ),
    b: () => {
      const shared = b.shape.slice(0, -2).every((size) => size === 1) && !transposeA;
      if (shared) {
        const product = transposeB
          ? multiply(fold(dy), fold(a), true, false)
          : multiply(fold(a), fold(dy), true, false);
        return tf.reshape(product, b.shape);
      }
      return unbroadcast(
        transposeB ? multiply(dy, a, true, transposeA) : multiply(a, dy, !transposeA, false),
        b.shape,
      );
    },
  };
}

/** Gradients of products that stock tfjs gives without reducing broadcast axes, or not at all. */
export const PRODUCT_GRADIENTS: AnyPatch[] = [
  gradientPatch<tf.BatchMatMulAttrs>({
    kernelName: 'BatchMatMul',
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, saved, {transposeA, transposeB}) =>
      batchMatMulGradient(dy, saved[0]!, saved[1]!, transposeA, transposeB),
  }),
  gradientPatch({
    kernelName: 'SquaredDifference',
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [tf.Tensor, tf.Tensor];
      const twice = (first: tf.Tensor, second: tf.Tensor): tf.Tensor =>
        tf.mul(dy, tf.mul(tf.sub(first, second), 2));
      return {a: () => unbroadcast(twice(a, b), a.shape), b: () => unbroadcast(twice(b, a), b.shape)};
    },
  }),
];
