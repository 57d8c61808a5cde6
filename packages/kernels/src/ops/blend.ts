import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {BLEND, BLEND_GRAD, packInputs, unpackInputs} from '../kernel-registry.js';
import {runPeftKernel} from './kernels.js';
import {columnSum} from './matmul.js';
import {checkSize, checkTensor} from './shapes.js';
import {SharedGradients} from './shared-gradients.js';

/** The attributes of the blend kernels. */
export interface BlendAttrs {
  names: string[];
  rows: number;
  slope: number;
  tokenFactor: number;
  sampleFactor: number;
}

/** Inputs of {@link blendGates}. */
export interface BlendInputs extends Omit<BlendAttrs, 'names'> {
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
 * Gates that blend a row of each token with one of its sample, in one kernel:
 *
 *     σ(slope · gate) · (σ(slope · share) · tokenFactor · token + (1 - σ(slope · share)) · sampleFactor · sample)
 *
 * A term that is left out is 0. Gradients flow to all that is given.
 *
 * @returns [rows, E], float32.
 * @throws ConfigError if there is neither term; ShapeError if a rank, dtype or size does not fit.
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
  const {tensors, names} = packInputs({token, sample, share, gate});
  return runPeftKernel(BLEND, tensors, {...attrs, names});
}

/** dy ∘ sample at each token, summed over the tokens, [E]. */
function sampleSum(dy: tf.Tensor2D, sample: tf.Tensor2D): tf.Tensor1D {
  const [samples, width] = sample.shape;
  if (samples === 1) return tf.mul(columnSum(dy), tf.reshape(sample, [width]));
  const grouped = tf.reshape(dy, [samples, -1, width]);
  const along = tf.mul(grouped, tf.reshape(sample, [samples, 1, width]));
  return columnSum(tf.reshape(along, dy.shape));
}

tf.registerGradient({
  kernelName: BLEND,
  saveAllInputs: true,
  gradFunc: (dys, saved, attrs) => {
    const {names, ...rest} = attrs as unknown as BlendAttrs;
    const {token, sample, share, gate} = unpackInputs(saved, names) as Record<string, tf.Tensor2D>;
    const dy = dys as tf.Tensor2D;
    const shared = new SharedGradients();
    const [dShare, dGate] = shared.make(() => {
      const packed = packInputs({
        token: token && columnSum(dy, token),
        sample: sample && sampleSum(dy, sample),
        share,
        gate,
      });
      return runPeftKernel<tf.Tensor[]>(BLEND_GRAD, packed.tensors, {...rest, names: packed.names});
    });
    // Each term's gradient is what the term makes of dy alone.
    const through = (term: 'token' | 'sample'): tf.Tensor2D => {
      const packed = packInputs({[term]: dy, share, gate});
      return runPeftKernel(BLEND, packed.tensors, {...rest, names: packed.names});
    };
    const gradients: Record<string, () => tf.Tensor> = {
      token: () => through('token'),
      sample: () => {
        const [samples, width] = sample!.shape;
        const everywhere = through('sample');
        if (samples === 1) return tf.reshape(columnSum(everywhere), [1, width]);
        return samples === dy.shape[0] ? everywhere : tf.sum(tf.reshape(everywhere, [samples, -1, width]), 1);
      },
      share: () => shared.take(dShare!),
      gate: () => shared.take(dGate!),
    };
    return Object.fromEntries(shared.endingWith(names.map((name) => gradients[name]!)).entries());
  },
});
