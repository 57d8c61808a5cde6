import type {Activation} from '../types.js';

/**
 * The error function to float64 accuracy: its Maclaurin series for |x| < 2.5, beyond that one minus the
 * continued fraction of erfc (Abramowitz and Stegun 7.1.6 and 7.1.14), evaluated from the far end.
 *
 * @example
 * ```ts
 * import {erf} from '@tfjs-peft/kernels/reference';
 *
 * const value = erf(1); // 0.8427
 * ```
 */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return ((2 / Math.sqrt(Math.PI)) * sum) / Math.exp(x * x);
  }
  let fraction = size;
  for (let n = 120; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-size * size) / (fraction * Math.sqrt(Math.PI)));
}

/** The activations in float64. */
export const activationReference: Record<Activation, (x: number) => number> = {
  linear: (x) => x,
  relu: (x) => Math.max(0, x),
  relu6: (x) => Math.min(6, Math.max(0, x)),
  elu: (x) => (x >= 0 ? x : Math.expm1(x)),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};
