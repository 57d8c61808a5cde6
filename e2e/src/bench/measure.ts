import * as tf from '@tensorflow/tfjs-core';
import type {Side} from './stock.js';

/** One thing measured in two ways. Each function does its work once and returns what has to be disposed of. */
export interface Contest {
  ours: () => tf.TensorContainer;
  baseline: () => tf.TensorContainer;
}

export interface Rounds {
  rounds: number;
  warmup: number;
  /** Once this many seconds have passed, three rounds are enough. Default 12. */
  seconds?: number;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function once(work: () => tf.TensorContainer): number {
  const start = performance.now();
  const result = work();
  const time = performance.now() - start;
  tf.dispose(result);
  return time;
}

/**
 * Median milliseconds of both sides. The rounds are interleaved, so that a change in the machine's speed meets both, and each side
 * runs under its own set of kernels: `enter` swaps them in.
 */
export function time(
  {ours, baseline}: Contest,
  {rounds, warmup, seconds = 12}: Rounds,
  enter: (side: Side) => void,
): {ours: number; baseline: number; rounds: number} {
  const times = {ours: [] as number[], baseline: [] as number[]};
  const end = performance.now() + seconds * 1000;
  for (let round = -warmup; round < rounds; round++) {
    if (round >= 3 && performance.now() > end) break;
    for (const [side, work] of [
      ['baseline', baseline],
      ['ours', ours],
    ] as const) {
      enter(side);
      const taken = once(work);
      if (round >= 0) times[side].push(taken);
    }
  }
  return {ours: median(times.ours), baseline: median(times.baseline), rounds: times.ours.length};
}

/** Kernel calls of one run, and its peak bytes beyond those alive before. */
export async function profile(
  work: () => tf.TensorContainer,
): Promise<{launches: number; peakBytes: number}> {
  const before = tf.memory().numBytes;
  const {kernels, peakBytes} = await tf.profile(() => {
    tf.dispose(work());
    return [];
  });
  return {launches: kernels.length, peakBytes: peakBytes - before};
}
