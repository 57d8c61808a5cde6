/** Seeded uniform numbers in [0, 1): mulberry32, the same on every machine. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `count` float32-representable numbers in [low, high). */
export function randomValues(random: () => number, count: number, low = -1, high = 1): Float64Array {
  return Float64Array.from({length: count}, () => Math.fround(low + (high - low) * random()));
}

/** Smooth, repeatable values without structure that a mistake in indices could hide behind. */
export function wave(length: number, phase: number, size = 1): number[] {
  return Array.from({length}, (_, i) => size * Math.sin(1.7 * i + phase) * Math.cos(0.3 * i * i + phase));
}

export function pick<T>(random: () => number, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!;
}
