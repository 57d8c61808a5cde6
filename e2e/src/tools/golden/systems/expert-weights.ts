import * as tf from '@tensorflow/tfjs-core';
import type {Golden} from '../format.js';

/** What the data call the weights, and what the layers do. */
export const LAYER_NAMES: Record<string, string> = {
  lora_a: 'lora_A',
  lora_b: 'lora_B',
  magnitude: 'magnitude',
  modulators: 'modulators',
  shared_modulator: 'shared_modulator',
  gamma: 'gamma',
  slice_weight: 'slice',
  slice_table: 'slice',
  bias: 'bias',
  router: 'router',
  omega_logit: 'omega',
  gate_logit: 'gate',
  intuition_mapper: 'mapper',
};

/** Brings a weight of the data, or its gradient, into the form that the layer has. */
export type Reform = (name: string, golden: Golden) => Golden;

export const asStored: Reform = (_name, golden) => golden;

/** The data keep modulators for the whole output over a slice too; the layers only for the slice. */
export const cutTo =
  (columns: number): Reform =>
  (name, golden) => {
    if (name !== 'modulators' && name !== 'shared_modulator') return golden;
    const width = golden.shape.at(-1)!;
    const rows = golden.data.length / width;
    const data = new Float32Array(rows * columns);
    for (let i = 0; i < rows; i++) {
      data.set(golden.data.subarray(i * width, i * width + columns), i * columns);
    }
    return {shape: [...golden.shape.slice(0, -1), columns], data};
  };

/** The data give rank position k to expert k mod E; the layers keep an expert's positions together. */
export const groupedBy =
  (experts: number): Reform =>
  (name, {shape, data}) => {
    if (name !== 'lora_a' && name !== 'lora_b') return {shape, data};
    const [rows, columns] = shape as [number, number];
    const axis = name === 'lora_a' ? 1 : 0;
    const each = shape[axis]! / experts;
    const moved = new Float32Array(data.length);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const to = axis === 1 ? j : i;
        const from = (to % each) * experts + Math.floor(to / each);
        moved[i * columns + j] = data[axis === 1 ? i * columns + from : from * columns + j]!;
      }
    }
    return {shape, data: moved};
  };

export function tensorFrom({shape, data}: Golden): tf.Tensor {
  return tf.tensor(Float32Array.from(data), shape);
}
