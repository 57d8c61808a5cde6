import * as tf from '@tensorflow/tfjs-core';
import type {ComposedKernel, KernelInputs} from '../../kernel-map.js';
import type {Mix, ScaleName} from '../../types.js';
import {activate, activationGradient} from './activations.js';

type Named = KernelInputs<'PeftCombine', tf.Tensor2D>;

function scaleOf(named: Named, name: ScaleName, heads = 1): tf.Tensor | undefined {
  const gates = named[`${name}Gates`];
  if (gates === undefined) return named[name];
  const table = named[`${name}Table`]!;
  if (heads === 1) return tf.matMul(gates, table);
  const byHead = (t: tf.Tensor2D): tf.Tensor =>
    tf.transpose(tf.reshape(t, [t.shape[0], heads, t.shape[1] / heads]), [1, 0, 2]);
  const scale = tf.matMul(byHead(gates), byHead(table));
  return tf.reshape(tf.transpose(scale, [1, 0, 2]), [gates.shape[0], table.shape[1]]);
}

function times(t: tf.Tensor2D, scale: tf.Tensor | undefined): tf.Tensor2D {
  return scale === undefined ? t : tf.mul(t, scale);
}

function mixed(h: tf.Tensor2D, gates: tf.Tensor2D | undefined, mix: Mix): tf.Tensor2D {
  if (mix === 'none') return h;
  const [rows, width] = h.shape;
  if (mix === 'dense') {
    const per = gates!.shape[1] / width;
    const product = tf.matMul(tf.reshape(h, [rows, 1, width]), tf.reshape(gates!, [rows, width, per]));
    return tf.reshape(product, [rows, per]);
  }
  const experts = gates!.shape[1];
  const blocks = tf.mul(
    tf.reshape(h, [rows, experts, width / experts]),
    tf.reshape(gates!, [rows, experts, 1]),
  );
  return tf.reshape(blocks, [rows, width]);
}

/** See `combine` in ops/combine.ts. */
export const PeftCombine: ComposedKernel<'PeftCombine'> = ({inputs: named, attrs}) =>
  tf.tidy(() => {
    const {scale, mix, activation, saveZ, saveU, heads} = attrs;
    const {x, kernel, bias, h, b, gates, offset} = named;
    let z = named.z;
    if (z === undefined) {
      z = tf.matMul(times(x!, scaleOf(named, 'pre', heads?.pre)), kernel!);
      if (bias !== undefined) z = tf.add(z, bias);
    }
    let u = times(z, scaleOf(named, 'alpha', heads?.alpha));
    if (h !== undefined) {
      const tail = times(
        tf.mul(tf.matMul(mixed(h, gates, mix), b!), scale),
        scaleOf(named, 'beta', heads?.beta),
      );
      u = tf.add(u, tail);
    }
    if (offset !== undefined) u = tf.add(u, offset);
    const y = times(activate(u, activation), scaleOf(named, 'post', heads?.post));
    // Handles of their own: z, u and y can be one tensor, or an input.
    return [y, ...(saveZ ? [z] : []), ...(saveU ? [u] : [])].map((t) => tf.clone(t));
  });

function mixGradient(dhm: tf.Tensor2D, h: tf.Tensor2D, gates: tf.Tensor2D, mix: Mix): [tf.Tensor, tf.Tensor] {
  const [rows, width] = h.shape;
  if (mix === 'dense') {
    const per = gates.shape[1] / width;
    const d = tf.reshape(dhm, [rows, 1, per]);
    const dh = tf.matMul(d, tf.reshape(gates, [rows, width, per]), false, true);
    const dGates = tf.matMul(tf.reshape(h, [rows, width, 1]), d);
    return [tf.reshape(dh, h.shape), tf.reshape(dGates, gates.shape)];
  }
  const experts = gates.shape[1];
  const blocks = [rows, experts, width / experts];
  const d = tf.reshape(dhm, blocks);
  const dh = tf.mul(d, tf.reshape(gates, [rows, experts, 1]));
  return [tf.reshape(dh, h.shape), tf.sum(tf.mul(d, tf.reshape(h, blocks)), 2)];
}

export const PeftMatMul: ComposedKernel<'PeftMatMul'> = ({inputs, attrs}) => {
  // They can be batched.
  const {a, b}: Record<'a' | 'b', tf.Tensor> = inputs;
  const {transposeA, transposeB, scale} = attrs;
  if (scale === 1) return tf.matMul(a, b, transposeA, transposeB);
  return tf.tidy(() => tf.mul(tf.matMul(a, b, transposeA, transposeB), scale));
};

export const PeftProject: ComposedKernel<'PeftProject'> = ({inputs: {x, a, kernel}, attrs: {columns}}) =>
  tf.tidy(() => {
    const h = tf.matMul(x, a);
    if (kernel === undefined) return [h];
    return [h, tf.matMul(x, tf.slice(kernel, [0, 0], [kernel.shape[0], columns]))];
  });

export const PeftMix: ComposedKernel<'PeftMix'> = ({inputs: {h, gates}, attrs: {mix}}) =>
  tf.tidy(() => mixed(h, gates, mix));

export const PeftMixGrad: ComposedKernel<'PeftMixGrad'> = ({inputs: {dhm, h, gates}, attrs: {mix}}) =>
  tf.tidy(() => mixGradient(dhm, h, gates, mix));

export const PeftActivationGrad: ComposedKernel<'PeftActivationGrad'> = ({inputs: {dy, ref}, attrs}) =>
  tf.tidy(() => tf.clone(activationGradient(dy, ref, attrs.activation)));
