import * as tf from '@tensorflow/tfjs-core';
import {USE_LITE_WIDTH} from '../models/use-lite.js';
import type {EncodedTask} from './corpus.js';
import {FEATURE_SCALE, type Head} from './linear.js';
import type {Batch} from './sampler.js';

export interface HeadVariables {
  kernel: tf.Variable<tf.Rank.R2>;
  bias: tf.Variable<tf.Rank.R1>;
}

let created = 0;

/** Trainable copies of heads; variable names are unique in the process, as tfjs demands. */
export function headVariables(head: Head): HeadVariables {
  const classes = head.bias.length;
  const id = created++;
  return tf.tidy(() => ({
    kernel: tf.variable(tf.tensor2d(head.kernel, [USE_LITE_WIDTH, classes]), true, `head_${id}_kernel`),
    bias: tf.variable(tf.tensor1d(head.bias), true, `head_${id}_bias`),
  }));
}

/** Mean cross entropy over a batch: every segment goes through the head of its task. */
export function batchLoss(
  vectors: tf.Tensor2D,
  batch: Batch,
  tasks: EncodedTask[],
  heads: HeadVariables[],
): tf.Scalar {
  const scaled = tf.mul(vectors, FEATURE_SCALE);
  const losses: tf.Tensor[] = [];
  let start = 0;
  for (const {task, rows} of batch.segments) {
    const own = tf.slice(scaled, [start, 0], [rows.length, USE_LITE_WIDTH]) as tf.Tensor2D;
    start += rows.length;
    const {kernel, bias} = heads[task]!;
    const logits = tf.add(tf.matMul(own, kernel), bias);
    const labels = tf.tensor1d(
      rows.map((row) => tasks[task]!.train.labels[row]!),
      'int32',
    );
    const wanted = tf.cast(tf.oneHot(labels, tasks[task]!.classes.length), 'float32');
    losses.push(tf.sum(tf.mul(tf.logSoftmax(logits), wanted)));
  }
  return tf.div(tf.addN(losses), -start) as tf.Scalar;
}
