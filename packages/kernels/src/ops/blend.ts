import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import type {BlendAttrs} from '../kernel-attrs.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {columnSum} from './matmul.js';
import {checkSize, checkTensor} from './shapes.js';

/** Inputs of {@link blendGates}. */
export interface BlendInputs extends BlendAttrs {
  /** A row for each token, [rows, E]. */
  token?: tf.Tensor2D;
  /** A row for each sample, of which each has as many tokens: [samples, E], where samples divides rows. */
  sample?: tf.Tensor2D;
  /** [1], through a sigmoid: how much the tokens' rows count; the samples' have the rest. */
  share: tf.Tensor;
  /** [1], through a sigmoid: how much all counts. */
  gate: tf.Tensor;
}

/**
 * Blends the gates of each token with those of its sample, in one kernel:
 *
 *     σ(slope · gate) · (σ(slope · share) · tokenFactor · token
 *                        + (1 - σ(slope · share)) · sampleFactor · sample)
 *
 * A term that is left out is 0. Gradients flow to all inputs.
 *
 * @returns [rows, E], float32.
 * @throws ConfigError if there is neither term; ShapeError if a rank, dtype or size does not fit.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {blendGates} from '@tfjs-peft/kernels';
 *
 * const zero = tf.zeros([1]) as tf.Tensor1D;
 * const [token, sample] = [tf.ones([6, 4]) as tf.Tensor2D, tf.ones([2, 4]) as tf.Tensor2D];
 * const factors = {tokenFactor: 1, sampleFactor: 1, slope: 1};
 * const gates = blendGates({rows: 6, token, sample, share: zero, gate: zero, ...factors});
 * ```
 */
export function blendGates({token, sample, share, gate, ...attrs}: BlendInputs): tf.Tensor2D {
  const {rows} = attrs;
  const first = token ?? sample;
  if (first === undefined) throw new ConfigError('blendGates: pass token, sample or both.');
  if (token !== undefined) {
    checkTensor('blendGates', 'token', token, [2]);
    checkSize('blendGates', "token's first axis", token.shape[0], rows, 'rows');
  }
  if (sample !== undefined) {
    checkTensor('blendGates', 'sample', sample, [2]);
    checkSize('blendGates', "sample's second axis", sample.shape[1], first.shape[1], `[${first.shape}]`);
    const samples = sample.shape[0];
    if (samples === 0 ? rows > 0 : rows % samples !== 0) {
      throw new ConfigError(
        `blendGates: sample has ${samples} rows, but their number must divide the ${rows} tokens.`,
      );
    }
  }
  for (const [name, scalar] of Object.entries({share, gate})) {
    checkTensor('blendGates', name, scalar, [1]);
    checkSize('blendGates', `the size of ${name}`, scalar.size, 1, 'the sigmoid');
  }
  return runPeftKernel('PeftBlend', {token, sample, share, gate}, attrs) as tf.Tensor2D;
}

/** dy ∘ sample at each token, summed over the tokens, [E]. */
function sampleSum(dy: tf.Tensor2D, sample: tf.Tensor2D): tf.Tensor1D {
  const [samples, width] = sample.shape;
  if (samples === 1) return tf.mul(columnSum(dy), tf.reshape(sample, [width]));
  const grouped = tf.reshape(dy, [samples, -1, width]);
  const along = tf.mul(grouped, tf.reshape(sample, [samples, 1, width]));
  return columnSum(tf.reshape(along, dy.shape));
}

definePeftGradient('PeftBlend', {}, ({dy: upstream, inputs, attrs, shared}) => {
  const {share, gate} = inputs;
  const [dy, token, sample] = [upstream, inputs.token, inputs.sample] as [
    tf.Tensor2D,
    tf.Tensor2D?,
    tf.Tensor2D?,
  ];
  const {rows: _rows, ...rest} = attrs;
  const [dShare, dGate] = shared.make(() =>
    runPeftKernel(
      'PeftBlendGrad',
      {token: token && columnSum(dy, token), sample: sample && sampleSum(dy, sample), share, gate},
      rest,
    ),
  );
  // Each term's gradient is what the term makes of dy alone.
  const through = (term: 'token' | 'sample'): tf.Tensor =>
    runPeftKernel('PeftBlend', {[term]: dy, share, gate}, attrs);
  return {
    token: () => through('token'),
    sample: () => {
      const [samples, width] = sample!.shape;
      const everywhere = through('sample') as tf.Tensor2D;
      if (samples === 1) return tf.reshape(columnSum(everywhere), [1, width]);
      return samples === dy.shape[0] ? everywhere : tf.sum(tf.reshape(everywhere, [samples, -1, width]), 1);
    },
    share: () => shared.take(dShare!),
    gate: () => shared.take(dGate!),
  };
});
