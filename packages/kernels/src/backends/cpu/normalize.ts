import type {PeftKernel} from '../../kernel-map.js';
import {arraysOf, cpu} from './arrays.js';

/** A row's mean, and what its deviations are multiplied by. */
function moments(x: Float32Array, epsilon: number): {mean: number; factor: number} {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]!;
  const mean = sum / x.length;
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += (x[i]! - mean) ** 2;
  return {mean, factor: 1 / Math.sqrt(squares / x.length + epsilon)};
}

/** Layer normalization of rows; see `layerNorm` in ops/layer-norm.ts. */
export const PeftLayerNorm: PeftKernel<'PeftLayerNorm'> = ({inputs, attrs: {epsilon}, backend}) => {
  const {x, gamma, beta} = arraysOf(inputs, backend);
  const width = inputs.x.shape[1]!;
  const out = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const {mean, factor} = moments(row, epsilon);
    for (let i = 0; i < width; i++) {
      out[at + i] = (row[i]! - mean) * factor * (gamma === undefined ? 1 : gamma[i]!) + (beta?.[i] ?? 0);
    }
  }
  return cpu(backend).write(inputs.x.shape, out);
};

/** The gradient of its x. */
export const PeftLayerNormGrad: PeftKernel<'PeftLayerNormGrad'> = ({inputs, attrs: {epsilon}, backend}) => {
  const {dy, x, gamma} = arraysOf(inputs, backend);
  const width = inputs.x.shape[1]!;
  const out = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += width) {
    const row = x.subarray(at, at + width);
    const {mean, factor} = moments(row, epsilon);
    let total = 0;
    let along = 0;
    for (let i = 0; i < width; i++) {
      const d = dy[at + i]! * (gamma === undefined ? 1 : gamma[i]!);
      total += d;
      along += d * (row[i]! - mean) * factor;
      out[at + i] = d;
    }
    for (let i = 0; i < width; i++) {
      const n = (row[i]! - mean) * factor;
      out[at + i] = (out[at + i]! - total / width - (n * along) / width) * factor;
    }
  }
  return cpu(backend).write(inputs.x.shape, out);
};
