import type {PeftKernel} from '../../kernel-map.js';
import {activationReference, erf} from '../../reference/activations.js';
import type {Activation} from '../../types.js';
import {arraysOf, cpu} from './arrays.js';

const DENSITY = 1 / Math.sqrt(2 * Math.PI);
const GELU_TANH = Math.sqrt(2 / Math.PI);

/** The activation's derivative from its output or input, whichever `gradientFrom` says. */
const derivatives: Record<Activation, (ref: number) => number> = {
  linear: () => 1,
  relu: (y) => (y > 0 ? 1 : 0),
  relu6: (y) => (y > 0 && y < 6 ? 1 : 0),
  elu: (y) => (y >= 0 ? 1 : y + 1),
  tanh: (y) => 1 - y * y,
  sigmoid: (y) => y * (1 - y),
  silu: (u) => {
    const s = 1 / (1 + Math.exp(-u));
    return s * (1 + u * (1 - s));
  },
  gelu: (u) => 0.5 * (1 + erf(u * Math.SQRT1_2)) + u * DENSITY * Math.exp(-0.5 * u * u),
  geluTanh: (u) => {
    const t = Math.tanh(GELU_TANH * (u + 0.044715 * u ** 3));
    return 0.5 * (1 + t) + 0.5 * u * (1 - t * t) * GELU_TANH * (1 + 3 * 0.044715 * u * u);
  },
};

/** Applies the activation in place. */
export function activateInPlace(values: Float32Array, activation: Activation): void {
  if (activation === 'linear') return;
  const f = activationReference[activation];
  for (let i = 0; i < values.length; i++) values[i] = f(values[i]!);
}

/** dy ∘ act', from the activation's output or input: see `gradientFrom`. */
export const PeftActivationGrad: PeftKernel<'PeftActivationGrad'> = ({inputs, attrs, backend}) => {
  const {dy, ref} = arraysOf(inputs, backend);
  const f = derivatives[attrs.activation];
  const result = new Float32Array(dy.length);
  for (let i = 0; i < dy.length; i++) result[i] = dy[i]! * f(ref[i]!);
  return cpu(backend).write(inputs.dy.shape, result);
};
