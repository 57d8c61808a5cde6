import type {Activation} from '@tfjs-peft/kernels';

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
 * The name under which tfjs-layers knows an activation, from one that went through its files: they rewrite the only name that has an
 * underscore, and a stock Dense with it cannot be loaded again.
 */
export function restoredName<Name>(name: Name): Name | 'gelu_new' {
  return name === 'geluNew' ? 'gelu_new' : name;
}
