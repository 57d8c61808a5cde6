import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ACTIVATION_RANKS, layerNorm} from '@tfjs-peft/kernels';
import {inside, type Layer} from './internals.js';
import {wrapCall} from './wrap-methods.js';

/** Fields of tfjs-layers' LayerNormalization; an axis is a number until the layer is built. */
export interface LayerNormalization {
  axis: number | number[];
  epsilon: number;
  gamma: tfl.LayerVariable | null;
  beta: tfl.LayerVariable | null;
}

export function isLayerNorm(layer: Layer): boolean {
  return layer.getClassName() === 'LayerNormalization';
}

/** The call by our op, if the input suits it; undefined if the stock call must run. */
function callFused(layer: Layer, inputs: tf.Tensor | tf.Tensor[]): tf.Tensor | undefined {
  const list = Array.isArray(inputs) ? inputs : [inputs];
  const [x] = list;
  const {axis, epsilon, gamma, beta} = inside<LayerNormalization>(layer);
  if (list.length !== 1 || x === undefined || x.dtype !== 'float32') return undefined;
  if (!ACTIVATION_RANKS.includes(x.rank)) return undefined;
  if (!Array.isArray(axis) || axis.length !== 1 || axis[0] !== x.rank - 1) return undefined;
  return layerNorm(
    x,
    gamma?.read() as tf.Tensor1D | undefined,
    beta?.read() as tf.Tensor1D | undefined,
    epsilon,
  );
}

/**
 * Lets LayerNormalization layers run through one kernel while an adapter is active. Stock's copies mean,
 * variance, gamma and beta to the input's size, and keeps all four until the gradient is through. Layers that
 * have a `call` of their own are left alone.
 */
export class FusedLayerNorms {
  private readonly releases = new Map<Layer, () => void>();

  /** @param isActive Asked at each call: if not, the stock call runs, and gives the stock bits. */
  replace(layers: readonly Layer[], isActive: () => boolean): void {
    for (const layer of layers) {
      if (!isLayerNorm(layer) || Object.hasOwn(layer, 'call')) continue;
      const release = wrapCall(
        layer,
        (stock) => (inputs, kwargs) =>
          (isActive() ? callFused(layer, inputs) : undefined) ?? stock(inputs, kwargs),
      );
      this.releases.set(layer, release);
    }
  }

  /** Restores the stock calls, except for layers to which somebody else has given a call since. */
  restore(): void {
    for (const release of this.releases.values()) release();
    this.releases.clear();
  }
}
