import type {Tensor} from '@tensorflow/tfjs-core';
import type {Activation} from '@tfjs-peft/kernels';
import type {SiteActivation} from './operation.js';

/** Activations by their name in tfjs-layers, where the fused ops compute the same function. */
const FUSED: Record<string, Activation> = {
  linear: 'linear',
  relu: 'relu',
  relu6: 'relu6',
  elu: 'elu',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
};

/** The fused ops' name of a tfjs-layers activation, or undefined if they do not have it. */
export function fusedActivation(className: string): Activation | undefined {
  return Object.hasOwn(FUSED, className) ? FUSED[className] : undefined;
}

/**
 * The name under which tfjs-layers knows an activation, from the name in its files. They rewrite the only
 * name that has an underscore, and a stock Dense with it cannot be loaded again.
 */
export function restoredName<Name>(name: Name): Name | 'gelu_new' {
  return name === 'geluNew' ? 'gelu_new' : name;
}

/** The private face of an activation of tfjs-layers. */
export interface StockActivation {
  getClassName(): string;
  apply(x: Tensor): Tensor;
}

/** An activation of tfjs-layers as a site's. */
export function layerActivation(activation: StockActivation): SiteActivation {
  const fused = fusedActivation(activation.getClassName());
  return {...(fused && {fused}), apply: (x) => activation.apply(x)};
}
