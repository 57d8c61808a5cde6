/**
 * A generator of uniform numbers in [0, 1) from a 32-bit seed (splitmix32). It uses integer arithmetic only,
 * so the numbers are the same on every backend and JavaScript engine.
 *
 * @example
 * ```ts
 * import {uniformNumbers} from '@tfjs-peft/routers';
 *
 * const next = uniformNumbers(42);
 * const [first, second] = [next(), next()];
 * ```
 */
export function uniformNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
