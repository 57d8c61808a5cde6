import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';

/** The private fields of a cell that its step reads; activations are tfjs-layers' own objects. */
export interface CellInternals {
  readonly units: number;
  readonly kernel: tfl.LayerVariable | null;
  /** [columns], or [2, columns] if the recurrent product has a bias of its own. */
  readonly bias?: tfl.LayerVariable | null;
  readonly recurrentKernel: tfl.LayerVariable;
  readonly activation: Activation;
  readonly recurrentActivation: Activation;
  readonly dropout?: number;
  readonly recurrentDropout?: number;
  call: tfl.layers.Layer['call'];
}

interface Activation {
  apply(x: tf.Tensor): tf.Tensor;
}

/** One step of a cell, of x W + b and the states before; gives the output and the states after. */
export type Step = (projected: tf.Tensor2D, states: tf.Tensor2D[], cell: CellInternals) => tf.Tensor[];

/** What a cell does once the product of its input is made, by the cell's class. */
export const STEPS: Record<string, Step> = {
  SimpleRNNCell(projected, [h], cell) {
    const y = cell.activation.apply(tf.add(projected, product(h!, cell.recurrentKernel.read())));
    return [y, y];
  },

  LSTMCell(projected, [h, c], cell) {
    const z = tf.add(projected, product(h!, cell.recurrentKernel.read()));
    const [input, forget, update, output] = columns(z, 4);
    const gate = (x: tf.Tensor | undefined) => cell.recurrentActivation.apply(x!);
    const state = tf.add(tf.mul(gate(forget), c!), tf.mul(gate(input), cell.activation.apply(update!)));
    const y = tf.mul(gate(output), cell.activation.apply(state));
    return [y, y, state];
  },

  GRUCell(projected, [h], cell) {
    const [gates, update] = columns(cell.recurrentKernel.read(), [2 * cell.units, cell.units]);
    const [xz, xr, xn] = columns(projected, 3);
    const [hz, hr] = columns(product(h!, gates!), 2);
    const z = cell.recurrentActivation.apply(tf.add(xz!, hz!));
    const r = cell.recurrentActivation.apply(tf.add(xr!, hr!));
    return mixed(z, h!, cell.activation.apply(tf.add(xn!, product(tf.mul(r, h!), update!))));
  },

  PeftResetAfterGRUCell(projected, [h], cell) {
    const raw = product(h!, cell.recurrentKernel.read());
    const [hz, hr, hn] = columns(cell.bias == null ? raw : tf.add(raw, biasRow(cell.bias, 1)), 3);
    const [xz, xr, xn] = columns(projected, 3);
    const z = cell.recurrentActivation.apply(tf.add(xz!, hz!));
    const r = cell.recurrentActivation.apply(tf.add(xr!, hr!));
    return mixed(z, h!, cell.activation.apply(tf.add(xn!, tf.mul(r, hn!))));
  },
};

/** The bias of a cell's input product. */
export function inputBias({bias}: CellInternals): {bias?: tf.Tensor1D} {
  if (bias == null) return {};
  return {bias: bias.shape.length === 1 ? (bias.read() as tf.Tensor1D) : biasRow(bias, 0)};
}

/** A cell's bias with another one of its input product. */
export function withInputBias(bias: tf.Tensor, input: tf.Tensor1D): tf.Tensor {
  if (bias.rank === 1) return input;
  const [, width] = bias.shape as [number, number];
  return tf.concat([tf.reshape(input, [1, width]), tf.slice(bias, [1, 0], [1, width])]);
}

function biasRow(bias: tfl.LayerVariable, row: number): tf.Tensor1D {
  const width = bias.shape[1]!;
  return tf.reshape(tf.slice(bias.read(), [row, 0], [1, width]), [width]);
}

function mixed(z: tf.Tensor, h: tf.Tensor, candidate: tf.Tensor): tf.Tensor[] {
  const y = tf.add(tf.mul(z, h), tf.mul(tf.sub(1, z), candidate));
  return [y, y];
}

function columns(x: tf.Tensor, sizes: number[] | number): tf.Tensor[] {
  return tf.split(x, sizes, x.rank - 1);
}

function product(h: tf.Tensor, kernel: tf.Tensor): tf.Tensor2D {
  return tf.matMul(h as tf.Tensor2D, kernel as tf.Tensor2D);
}
