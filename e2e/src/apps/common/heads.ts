import * as tf from '@tensorflow/tfjs-core';
import {featureScale, type Head, widthOf} from '../../tools/probe/linear.js';

export interface HeadVariables {
  kernel: tf.Variable<tf.Rank.R2>;
  bias: tf.Variable<tf.Rank.R1>;
}

let created = 0;

/** Trainable copies of a head; variable names are unique in the process, as tfjs demands. */
export function headVariables(head: Head): HeadVariables {
  const classes = head.bias.length;
  const id = created++;
  return tf.tidy(() => ({
    kernel: tf.variable(tf.tensor2d(head.kernel, [widthOf(head), classes]), true, `head_${id}_kernel`),
    bias: tf.variable(tf.tensor1d(head.bias), true, `head_${id}_bias`),
  }));
}

/**
 * Sum of the cross entropies of sentence vectors [rows, width], divided by `count`.
 *
 * @param headOf the head of each row; rows of one head lie together.
 * @param labels the class of each row.
 */
export function lossOf(
  vectors: tf.Tensor2D,
  headOf: number[],
  labels: number[],
  count: number,
  heads: HeadVariables[],
): tf.Scalar {
  const width = vectors.shape[1];
  const scaled = tf.mul(vectors, featureScale(width));
  const sums: tf.Tensor[] = [];
  for (let start = 0; start < headOf.length; ) {
    const head = headOf[start]!;
    let end = start;
    while (headOf[end] === head) end++;
    const own = tf.slice(scaled, [start, 0], [end - start, width]) as tf.Tensor2D;
    const {kernel, bias} = heads[head]!;
    const wanted = tf.oneHot(tf.tensor1d(labels.slice(start, end), 'int32'), bias.shape[0]);
    sums.push(
      tf.sum(tf.mul(tf.logSoftmax(tf.add(tf.matMul(own, kernel), bias)), tf.cast(wanted, 'float32'))),
    );
    start = end;
  }
  return tf.div(tf.addN(sums), -count) as tf.Scalar;
}
