import * as tf from '@tensorflow/tfjs-core';
import {countLaunches} from './launches.js';
import type {Side} from './stock.js';

/**
 * One thing measured in two ways. Each function does its work once and returns what has to be disposed of.
 */
export interface Contest {
  ours: Work;
  baseline: Work;
}

type Work = () => tf.TensorContainer | Promise<tf.TensorContainer>;

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

/**
 * A GPU computes later; what it has been given runs in order, so that it is done
 * with all once a value of it is here.
 */
async function settle(result: tf.TensorContainer): Promise<void> {
  const [first] = [result].flat();
  if (first instanceof tf.Tensor && tf.getBackend().startsWith('web')) await first.data();
}

async function once(work: Work): Promise<number> {
  const start = performance.now();
  const result = await work();
  await settle(result);
  const time = performance.now() - start;
  tf.dispose(result);
  return time;
}

/**
 * Median milliseconds of both sides. The rounds are interleaved, so that a change in the machine's speed
 * meets both, and each side runs under its own set of kernels: `enter` swaps them in.
 */
export async function time(
  {ours, baseline}: Contest,
  {rounds, warmup, seconds = 12}: Rounds,
  enter: (side: Side) => void,
): Promise<{ours: number; baseline: number; rounds: number}> {
  const times = {ours: [] as number[], baseline: [] as number[]};
  const end = performance.now() + seconds * 1000;
  for (let round = -warmup; round < rounds; round++) {
    if (round >= 3 && performance.now() > end) break;
    for (const [side, work] of [
      ['baseline', baseline],
      ['ours', ours],
    ] as const) {
      enter(side);
      const taken = await once(work);
      if (round >= 0) times[side].push(taken);
    }
  }
  return {ours: median(times.ours), baseline: median(times.baseline), rounds: times.ours.length};
}

export interface Profile {
  launches: number;
  calls: number;
  peakBytes: number;
}

/**
 * Launches of one run, see {@link countLaunches}, tfjs's kernel calls, and the peak
 * bytes beyond those alive before.
 */
export async function profile(work: Work): Promise<Profile> {
  const before = tf.memory().numBytes;
  const counter = countLaunches();
  const {kernels, peakBytes} = await tf.profile(async () => {
    tf.dispose(await work());
    return [];
  });
  return {
    launches: counter?.stop() ?? kernels.length,
    calls: kernels.length,
    peakBytes: peakBytes - before,
  };
}
