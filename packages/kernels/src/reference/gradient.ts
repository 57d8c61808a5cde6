/**
 * The gradient of a scalar function by central differences in float64.
 *
 * @param f called with `values` changed in place.
 * @param values where the gradient is taken; left as it was.
 * @param step default 1e-5: for smooth functions of order 1 the error is about 1e-10.
 * @example
 * ```ts
 * import {numericGradient} from '@tfjs-peft/kernels/reference';
 *
 * const x = Float64Array.of(3);
 * const slope = numericGradient(() => x[0]! ** 2, x); // 6
 * ```
 */
export function numericGradient(f: () => number, values: Float64Array, step = 1e-5): Float64Array {
  return values.map((value, i) => {
    values[i] = value + step;
    const above = f();
    values[i] = value - step;
    const below = f();
    values[i] = value;
    return (above - below) / (2 * step);
  });
}
