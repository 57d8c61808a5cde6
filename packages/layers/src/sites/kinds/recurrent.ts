import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {StockActivation} from '../activation.js';
import type {LayerCall, LayerSite} from '../layer-site.js';
import {type KernelInternals, vectorOf} from './dense.js';

/** The private fields of a stock cell that sites read. */
interface CellInternals extends KernelInternals {
  readonly units: number;
  readonly recurrentKernel: tfl.LayerVariable;
  readonly recurrentActivation: StockActivation;
  readonly dropout: number;
  readonly recurrentDropout: number;
  call: tfl.layers.Layer['call'];
}

/** One step of a cell, of x W + b and the states before; gives the output and the states after. */
type Step = (projected: tf.Tensor2D, states: tf.Tensor2D[], cell: CellInternals) => tf.Tensor[];

const columns = (x: tf.Tensor, sizes: number[] | number) => tf.split(x, sizes, x.rank - 1) as tf.Tensor2D[];

const simple: Step = (projected, [h], cell) => {
  const y = cell.activation.apply(tf.add(projected, recurrent(h!, cell.recurrentKernel.read())));
  return [y, y];
};

const lstm: Step = (projected, [h, c], cell) => {
  const z = tf.add(projected, recurrent(h!, cell.recurrentKernel.read()));
  const [input, forget, update, output] = columns(z, 4) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const gate = (x: tf.Tensor) => cell.recurrentActivation.apply(x);
  const state = tf.add(tf.mul(gate(forget), c!), tf.mul(gate(input), cell.activation.apply(update)));
  const y = tf.mul(gate(output), cell.activation.apply(state));
  return [y, y, state];
};

const gru: Step = (projected, [h], cell) => {
  const kernel = cell.recurrentKernel.read();
  const [gates, update] = columns(kernel, [2 * cell.units, cell.units]);
  const [xz, xr, xh] = columns(projected, 3);
  const [hz, hr] = columns(recurrent(h!, gates!), 2);
  const z = cell.recurrentActivation.apply(tf.add(xz!, hz!));
  const r = cell.recurrentActivation.apply(tf.add(xr!, hr!));
  const candidate = cell.activation.apply(tf.add(xh!, recurrent(tf.mul(r, h!), update!)));
  const y = tf.add(tf.mul(z, h!), tf.mul(tf.sub(1, z), candidate));
  return [y, y];
};

function recurrent(h: tf.Tensor, kernel: tf.Tensor): tf.Tensor2D {
  return tf.matMul(h as tf.Tensor2D, kernel as tf.Tensor2D);
}

/** The factors of a dropout that is one for all steps, as the stock cells have it; undefined where there is none. */
function dropoutMask(shape: number[], rate: number, training: boolean): tf.Tensor | undefined {
  return training && rate > 0 && rate < 1 ? tf.dropout(tf.ones(shape), rate) : undefined;
}

function cellOf(layer: tfl.layers.Layer): CellInternals {
  return (layer as unknown as {cell: CellInternals}).cell;
}

/**
 * An LSTM, GRU or SimpleRNN: the site is the product of its input with its kernel, x W + b, for all steps at once; the recurrent
 * kernel stays as it is. Everything else (masks, states, direction) is the stock layer's own doing, with a cell that is handed the
 * product in place of x.
 */
export function recurrentSite(kind: string, step: Step): LayerSite {
  return {
    kind,
    operation(layer) {
      const cell = cellOf(layer);
      return {
        get dims() {
          const [inputDim, outputDim] = cell.kernel!.shape as [number, number];
          return {inputDim, outputDim};
        },
        get frozen() {
          return {kernel: cell.kernel!.read() as tf.Tensor2D, ...vectorOf(cell.bias)};
        },
      };
    },
    input({layer, inputs: [x], training}) {
      const [batch, , width] = x!.shape as [number, number, number];
      const mask = dropoutMask([batch, 1, width], cellOf(layer).dropout, training);
      const floats = tf.cast(x!, 'float32');
      return mask === undefined ? floats : tf.mul(floats, mask);
    },
    finish: (projected, call) => run(projected, call, step),
  };
}

function run(projected: tf.Tensor, call: LayerCall, step: Step): tf.Tensor | tf.Tensor[] {
  const {layer, inputs, kwargs, training} = call;
  const cell = cellOf(layer);
  const mask = dropoutMask([projected.shape[0]!, cell.units], cell.recurrentDropout, training);
  cell.call = (tensors) => {
    const [z, h, ...rest] = tensors as [tf.Tensor2D, tf.Tensor2D, ...tf.Tensor2D[]];
    const kept = mask === undefined ? h : (tf.mul(h, mask) as tf.Tensor2D);
    return step(z, [kept, ...rest], cell);
  };
  try {
    // The stock layer's call takes the states that a graph hands over as further inputs from here.
    const initialState = inputs.length > 1 ? inputs.slice(1) : kwargs?.initialState;
    return layer.call(projected, {...kwargs, initialState});
  } finally {
    delete (cell as Partial<CellInternals>).call;
  }
}

export const LSTM = recurrentSite('lstm', lstm);
export const GRU = recurrentSite('gru', gru);
export const SIMPLE_RNN = recurrentSite('simpleRNN', simple);
