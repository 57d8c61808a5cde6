import * as tf from '@tensorflow/tfjs-core';
import {BLEND, BLEND_GRAD, type PeftKernel} from '../../kernel-registry.js';
import type {BlendAttrs} from '../blend.js';

type Named = Record<string, tf.Tensor2D | undefined>;

const sigmoid = (scalar: tf.Tensor, slope: number): tf.Tensor => tf.sigmoid(tf.mul(scalar, slope));

/** The blend of gates from tfjs-core's ops. */
function blendComposed(
  {token, sample, share, gate}: Named,
  {rows, slope, tokenFactor, sampleFactor}: BlendAttrs,
): tf.Tensor {
  const [g, s] = [sigmoid(gate!, slope), sigmoid(share!, slope)];
  const width = (token ?? sample)!.shape[1];
  const terms: tf.Tensor[] = [];
  if (token !== undefined) terms.push(tf.mul(token, tf.mul(s, tokenFactor)));
  if (sample !== undefined) {
    const [samples] = sample.shape;
    const weighted = tf.mul(sample, tf.mul(tf.sub(1, s), sampleFactor));
    const tokens = samples === 0 ? 0 : rows / samples;
    const spread = tf.mul(tf.reshape(weighted, [samples, 1, width]), tf.ones([samples, tokens, 1]));
    terms.push(tf.reshape(spread, [rows, width]));
  }
  return tf.mul(tf.addN(terms), g);
}

/** Gradients of the two scalars, from what their terms add up to by column. */
function blendGradientComposed(
  {token, sample, share, gate}: Named,
  {slope, tokenFactor, sampleFactor}: BlendAttrs,
): tf.Tensor[] {
  const [g, s] = [sigmoid(gate!, slope), sigmoid(share!, slope)];
  const total = (sums: tf.Tensor | undefined, factor: number): tf.Tensor =>
    sums === undefined ? tf.zeros([1]) : tf.reshape(tf.mul(tf.sum(sums), factor), [1]);
  const [p, q] = [total(token, tokenFactor), total(sample, sampleFactor)];
  const slopeOf = (value: tf.Tensor): tf.Tensor => tf.mul(tf.mul(value, tf.sub(1, value)), slope);
  const dShare = tf.mul(tf.mul(slopeOf(s), g), tf.sub(p, q));
  const dGate = tf.mul(slopeOf(g), tf.add(tf.mul(s, p), tf.mul(tf.sub(1, s), q)));
  return [dShare, dGate];
}

export const composedBlend: Record<string, PeftKernel> = {
  [BLEND]: ({inputs, attrs}) =>
    tf.tidy(() => blendComposed(inputs as unknown as Named, attrs as unknown as BlendAttrs)),
  [BLEND_GRAD]: ({inputs, attrs}) =>
    tf.tidy(() => blendGradientComposed(inputs as unknown as Named, attrs as unknown as BlendAttrs)),
};
