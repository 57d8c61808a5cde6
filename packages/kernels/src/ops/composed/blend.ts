import * as tf from '@tensorflow/tfjs-core';
import type {ComposedKernel} from '../../kernel-map.js';

const sigmoid = (scalar: tf.Tensor, slope: number): tf.Tensor => tf.sigmoid(tf.mul(scalar, slope));

/** The blend of gates from tfjs-core's ops. */
export const PeftBlend: ComposedKernel<'PeftBlend'> = ({inputs: {token, sample, share, gate}, attrs}) =>
  tf.tidy(() => {
    const {rows, slope, tokenFactor, sampleFactor} = attrs;
    const [g, s] = [sigmoid(gate, slope), sigmoid(share, slope)];
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
  });

/** Gradients of the two scalars, from what their terms add up to by column. */
export const PeftBlendGrad: ComposedKernel<'PeftBlendGrad'> = ({
  inputs: {token, sample, share, gate},
  attrs,
}) =>
  tf.tidy(() => {
    const {slope, tokenFactor, sampleFactor} = attrs;
    const [g, s] = [sigmoid(gate, slope), sigmoid(share, slope)];
    const total = (sums: tf.Tensor | undefined, factor: number): tf.Tensor =>
      sums === undefined ? tf.zeros([1]) : tf.reshape(tf.mul(tf.sum(sums), factor), [1]);
    const [p, q] = [total(token, tokenFactor), total(sample, sampleFactor)];
    const slopeOf = (value: tf.Tensor): tf.Tensor => tf.mul(tf.mul(value, tf.sub(1, value)), slope);
    const dShare = tf.mul(tf.mul(slopeOf(s), g), tf.sub(p, q));
    const dGate = tf.mul(slopeOf(g), tf.add(tf.mul(s, p), tf.mul(tf.sub(1, s), q)));
    return [dShare, dGate];
  });
