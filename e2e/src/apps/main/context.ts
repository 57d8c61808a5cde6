import {fitIntuition, routerDefinitions} from '@tfjs-peft/routers';
import {random, shuffled} from '../../data/tasks/random.js';
import {SPLITS, type Split} from '../../data/tasks/task.js';
import {featureScale} from '../../tools/probe/linear.js';
import type {Addition} from './addition.js';
import {CONTEXT_KEYS, type ContextKey, type EncodedTask, type TextContext} from './corpus.js';

/** How wide a row each key needs; a key that nobody reads is absent. */
export type ContextNeeds = Partial<Record<ContextKey, number>>;

/** Training texts that the centroids of an intuition are fitted to, at most. */
const MOST_FITTED = 1024;

interface RouterLike {
  type?: string;
  routers?: RouterLike[];
}

/** What an adapter reads of a text, from its config with all defaults. */
export function contextNeeds(adapter: Addition, width: number): ContextNeeds {
  if (adapter.type === 'mor1e') {
    const {intuition, clusters, r1, r2, rank} = adapter as unknown as Record<string, number | undefined>;
    return intuition ? {intuition: clusters ?? rank ?? r1! * r2!} : {};
  }
  const {experts, router} = adapter as {experts?: number; router?: RouterLike};
  const needs: ContextNeeds = {};
  const widths: ContextNeeds = {intuition: experts!, sentence: width, task: 1};
  const visit = ({type, routers = []}: RouterLike) => {
    const {context = []} = routerDefinitions().find((definition) => definition.type === type) ?? {};
    for (const key of CONTEXT_KEYS) if (context.includes(key)) needs[key] = widths[key]!;
    routers.forEach(visit);
  };
  if (router !== undefined) visit(router);
  return needs;
}

/** Whether the frozen model's vectors are needed to say what a text brings along. */
export const needsVectors = ({intuition, sentence}: ContextNeeds): boolean =>
  intuition !== undefined || sentence !== undefined;

/**
 * Centroids of the training texts' vectors, row-major [clusters, width], for an
 * adapter that reads an intuition.
 */
export function fitCentroids(
  {intuition}: ContextNeeds,
  train: Float32Array[],
  width: number,
  seed: number,
): Float32Array | undefined {
  if (intuition === undefined) return undefined;
  const rows = train.flatMap((vectors) =>
    Array.from({length: vectors.length / width}, (_, i) => vectors.subarray(i * width, (i + 1) * width)),
  );
  const some = shuffled(rows, random(seed, 'intuition')).slice(0, MOST_FITTED);
  return Float32Array.from(fitIntuition(some, intuition, {seed}).flat());
}

/** What texts of one task bring along. `vectors` are the frozen model's, row-major [count, width]. */
export function textContexts(
  needs: ContextNeeds,
  task: number,
  count: number,
  vectors: Float32Array | undefined,
  centroids: Float32Array | undefined,
): TextContext[] {
  return Array.from({length: count}, (_, i) => {
    const context: TextContext = {};
    if (needs.task !== undefined) context.task = Float32Array.of(task);
    if (vectors === undefined) return context;
    const width = vectors.length / count;
    const vector = vectors.subarray(i * width, (i + 1) * width);
    if (needs.sentence !== undefined) context.sentence = vector.map((value) => featureScale(width) * value);
    if (needs.intuition !== undefined) {
      context.intuition = Float32Array.from({length: needs.intuition}, (_, cluster) =>
        dot(vector, centroids!.subarray(cluster * width, (cluster + 1) * width)),
      );
    }
    return context;
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Gives every text of all tasks what it brings along. */
export function addContexts(
  tasks: EncodedTask[],
  needs: ContextNeeds,
  vectors: Record<Split, Float32Array>[] | undefined,
  centroids: Float32Array | undefined,
): void {
  if (Object.keys(needs).length === 0) return;
  for (const [i, task] of tasks.entries()) {
    for (const split of SPLITS) {
      const own = task[split];
      own.context = textContexts(needs, i, own.labels.length, vectors?.[i]?.[split], centroids);
    }
  }
}
