/** One variable's numbers before or after a step. */
export interface AdamNumbers {
  value: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

/**
 * Step `step` (from 1) of Adam (Kingma & Ba 2015, algorithm 1), in float64.
 *
 * @example
 * ```ts
 * import {adamReference} from '@tfjs-peft/kernels/reference';
 *
 * const one = {value: Float64Array.of(1), m: Float64Array.of(0), v: Float64Array.of(0)};
 * const options = {learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, step: 1};
 * const {value} = adamReference(one, Float64Array.of(2), options); // 0.9
 * ```
 */
export function adamReference(
  {value, m, v}: AdamNumbers,
  gradient: Float64Array,
  {
    learningRate,
    beta1,
    beta2,
    epsilon,
    step,
  }: {learningRate: number; beta1: number; beta2: number; epsilon: number; step: number},
): AdamNumbers {
  const newM = m.map((old, i) => beta1 * old + (1 - beta1) * gradient[i]!);
  const newV = v.map((old, i) => beta2 * old + (1 - beta2) * gradient[i]! ** 2);
  const newValue = value.map((old, i) => {
    const [first, second] = [newM[i]! / (1 - beta1 ** step), newV[i]! / (1 - beta2 ** step)];
    return old - (learningRate * first) / (Math.sqrt(second) + epsilon);
  });
  return {value: newValue, m: newM, v: newV};
}
