import {type Init, uniformNumbers} from '@tfjs-peft/routers';

/** A 32-bit hash of a text (FNV-1a, with a final mix so that similar texts differ in all bits). */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * Derives the seed of one site from the user's seed, so that sites of one shape start with different values.
 *
 * @param key Identifies the site and is the same in every run, such as its index in the model.
 * @example
 * ```ts
 * import {deriveSeed} from '@tfjs-peft/layers';
 *
 * const seeds = ['dense_1', 'dense_2'].map((name) => deriveSeed(42, name));
 * ```
 */
export function deriveSeed(seed: number, key: string | number): number {
  return hash32(`${seed}/${key}`);
}

/** The ways to start that need nothing but numbers. */
export type PlainInit = Exclude<Init, {type: 'identity' | 'columnNorms' | 'columns' | 'bias'}>;

/**
 * Initial values of one weight. The same seed gives the same values on every backend; an init's own seed goes
 * before `seed`.
 */
export function initialValues(init: PlainInit, shape: readonly number[], seed: number): Float32Array {
  const size = shape.reduce((all, axis) => all * axis, 1);
  const values = new Float32Array(size);
  const next = uniformNumbers((init.type === 'heUniform' ? init.seed : undefined) ?? seed);
  const uniform = (low: number, high: number) => values.map(() => low + (high - low) * next());
  switch (init.type) {
    case 'zeros':
      return values;
    case 'ones':
      return values.fill(1);
    case 'constant':
      return values.fill(init.value);
    case 'uniform':
      return uniform(init.low, init.high);
    case 'heUniform': {
      // He's bound, by the first axis.
      const bound = Math.sqrt(6 / (shape[0] ?? 1));
      return uniform(-bound, bound);
    }
    case 'normal':
      // Box and Muller's transform; 1 - u is in (0, 1], whose logarithm is finite.
      for (let i = 0; i < size; i += 2) {
        const radius = init.stddev * Math.sqrt(-2 * Math.log(1 - next()));
        const angle = 2 * Math.PI * next();
        values[i] = radius * Math.cos(angle);
        if (i + 1 < size) values[i + 1] = radius * Math.sin(angle);
      }
      return values;
  }
}
