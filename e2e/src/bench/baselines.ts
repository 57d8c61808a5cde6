import * as tf from '@tensorflow/tfjs-core';

/** A frozen projection and an adapter's weights, all in the layers' own form. */
export interface Composed {
  kernel: tf.Tensor2D;
  bias: tf.Tensor1D;
  weights: Record<string, tf.Tensor>;
}

/** An adapted projection of x [n, dIn], composed from stock ops; `training` is true under a gradient tape. */
export type Baseline = (x: tf.Tensor2D, site: Composed, training: boolean) => tf.Tensor2D;

/**
 * What a careful user of stock tfjs writes: the fused product where no gradient is asked for, and the plain one where it is, since
 * the gradient of the fused op always computes the product for the frozen kernel too.
 */
export const project: Baseline = (x, {kernel, bias}, training) =>
  training ? tf.add(tf.matMul(x, kernel), bias) : (tf.fused.matMul({a: x, b: kernel, bias}) as tf.Tensor2D);

export const lora =
  (rank: number, alpha: number): Baseline =>
  (x, site, training) => {
    const {lora_A: a, lora_B: b} = site.weights as Record<string, tf.Tensor2D>;
    const delta = tf.matMul(tf.matMul(x, a!), b!);
    return tf.add(project(x, site, training), tf.mul(delta, alpha / rank));
  };

export const ia3: Baseline = (x, site, training) => tf.mul(project(x, site, training), site.weights.scaling!);

const gatesOf = (x: tf.Tensor2D, {weights}: Composed) =>
  tf.softmax(tf.matMul(x, weights.router as tf.Tensor2D));

export const mov: Baseline = (x, site, training) =>
  tf.mul(project(x, site, training), tf.matMul(gatesOf(x, site), site.weights.scaling as tf.Tensor2D));

/** All experts side by side: two products, not two per expert; the gates meet h through a reshape. */
export const molora =
  (experts: number, rank: number, alpha: number): Baseline =>
  (x, site, training) => {
    const {lora_A: a, lora_B: b} = site.weights as Record<string, tf.Tensor2D>;
    const h = tf.reshape(tf.matMul(x, a!), [x.shape[0], experts, rank]);
    const gated = tf.mul(h, tf.reshape(gatesOf(x, site), [x.shape[0], experts, 1]));
    const mixed = tf.reshape(gated, [x.shape[0], experts * rank]) as tf.Tensor2D;
    return tf.add(project(x, site, training), tf.mul(tf.matMul(mixed, b!), alpha / rank));
  };
