import type {AdamAttrs} from '../ops/adam.js';

/** What a program of Adam writes; a program of a GPU backend has one output. */
export type AdamPart = 'm' | 'v' | 'value';

/** In the order of the kernel's outputs. */
export const ADAM_PARTS = ['m', 'v', 'value'] as const;

/** The inputs that each part reads. */
export const ADAM_INPUTS: Record<AdamPart, ('value' | 'm' | 'v' | 'gradient')[]> = {
  m: ['m', 'gradient'],
  v: ['v', 'gradient'],
  value: ['value', 'm', 'v'],
};

/**
 * The uniforms of each part, by name. The value is computed from the new moments:
 * value - rate · m / (sqrt(v / correction2) + epsilon), with rate = learningRate / correction1.
 */
export function adamUniforms(part: AdamPart, attrs: AdamAttrs): Record<string, number> {
  const {learningRate, beta1, beta2, epsilon, correction1, correction2} = attrs;
  if (part === 'm') return {keep: beta1, take: 1 - beta1};
  if (part === 'v') return {keep: beta2, take: 1 - beta2};
  return {rate: learningRate / correction1, correction2, epsilon};
}
