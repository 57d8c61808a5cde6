import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {inside} from '../../../core/tfjs/internals.js';
import type {LayerCall, LayerSite} from '../layer-site.js';
import {type CellInternals, inputBias, STEPS, withInputBias} from './cells.js';

function cellOf(layer: tfl.layers.Layer): CellInternals & tfl.layers.Layer {
  return inside<{cell: CellInternals & tfl.layers.Layer}>(layer).cell;
}

/**
 * The factors of a dropout that is the same at all steps, as in the stock cells; undefined without dropout.
 */
function dropoutMask(shape: number[], rate: number | undefined, training: boolean): tf.Tensor | undefined {
  return training && rate && rate < 1 ? tf.dropout(tf.ones(shape), rate) : undefined;
}

/**
 * An LSTM, GRU or SimpleRNN, or an RNN of one of their cells: the site is the product of its input with its
 * kernel, x W + b, for all steps at once; the recurrent kernel stays as it is. The stock layer does
 * everything else (masks, states, direction), with a cell that gets the product in place of x.
 */
export function recurrentSite(kind: string): LayerSite {
  return {
    kind,
    weights(layer) {
      const {kernel, bias} = cellOf(layer);
      return {kernel: kernel!, bias, ...(bias && {toBias: (vector) => withInputBias(bias.read(), vector)})};
    },
    operation(layer) {
      const cell = cellOf(layer);
      const className = cell.getClassName();
      if (!Object.hasOwn(STEPS, className)) {
        throw new UnsupportedSiteError(
          `Layer '${layer.name}' runs a ${className}, whose input goes through more than one product. ` +
            'Remove it from targets.',
        );
      }
      return {
        get dims() {
          const [inputDim, outputDim] = cell.kernel!.shape as [number, number];
          return {inputDim, outputDim};
        },
        get frozen() {
          return {kernel: cell.kernel!.read() as tf.Tensor2D, ...inputBias(cell)};
        },
      };
    },
    input({layer, inputs: [x], training}) {
      const [batch, , width] = x!.shape as [number, number, number];
      const mask = dropoutMask([batch, 1, width], cellOf(layer).dropout, training);
      const floats = tf.cast(x!, 'float32');
      return mask === undefined ? floats : tf.mul(floats, mask);
    },
    finish: run,
  };
}

function run(projected: tf.Tensor, {layer, inputs, kwargs, training}: LayerCall): tf.Tensor | tf.Tensor[] {
  const cell = cellOf(layer);
  const step = STEPS[cell.getClassName()]!;
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
