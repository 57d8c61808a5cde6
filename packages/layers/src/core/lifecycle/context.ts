import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions, checkTasks, type RouterContext} from '@tfjs-peft/routers';
import type {AdaptedSite} from '../sites/adapted-site.js';
import type {Layer} from '../tfjs/internals.js';
import {wrapCall} from '../tfjs/wrap-methods.js';

const KEYS = ['intuition', 'sentence', 'task', 'mask', 'noise'] as const;

/** Gives what a batch brings along, of some layer's inputs. */
type Compute = (inputs: tf.Tensor[]) => RouterContext;

/** What the batches of a model bring along for its routers: set by hand, or computed whenever some layer is called. */
export class ContextStore {
  private current: RouterContext | undefined;
  /** What is computed at the calls of a layer, and what ends it. */
  private readonly sources = new Map<Layer, {compute: Compute; end: () => void}>();

  /** @param tasks How many tasks the routers of the active adapter know; undefined where none looks at tasks. */
  constructor(private readonly tasks: () => number | undefined) {}

  /**
   * @throws ConfigError if a key is unknown, its value no tensor, or a task's number none that the routers know. The context is then
   * as before.
   */
  set(context: RouterContext | null): void {
    const before = this.current;
    this.current = context === null ? undefined : owned(context, this.tasks());
    dispose(before);
  }

  readonly get = (): RouterContext | undefined => this.current;

  /** Whether what was set by hand has a row for each of so many samples, of which a batch may be a part. */
  hasRows(samples: number): boolean {
    return (
      samples > 1 &&
      this.sources.size === 0 &&
      tensorsOf(this.current).some(({shape}) => shape[0] === samples)
    );
  }

  /** Runs with the rows at some places, int32 [n], in place of those of all samples; what all have in common stays. */
  withRows<T>(places: tf.Tensor, run: () => T): T {
    const all = this.current;
    const samples = Math.max(...tensorsOf(all).map(({shape}) => shape[0] ?? 1));
    const rows: tf.Tensor[] = [];
    const rowsOf = (tensor: tf.Tensor) => {
      const own = tf.keep(tf.gather(tensor, places as tf.Tensor1D));
      rows.push(own);
      return own;
    };
    const entries = Object.entries(all ?? {}).map(([key, value]) => [
      key,
      value instanceof tf.Tensor && value.shape[0] === samples ? rowsOf(value) : value,
    ]);
    const part = Object.fromEntries(entries) as RouterContext;
    this.current = part;
    try {
      return run();
    } finally {
      // A hook that set another context meanwhile has disposed this part, but not the rest.
      if (this.current === part) this.current = all;
      else dispose(all);
      tf.dispose(rows);
    }
  }

  /**
   * Computes the context from a layer's inputs at each of its calls. Not by tfjs's call hook, of which a layer has one, that is its
   * user's, and which the layers of many classes never call.
   */
  from(layer: Layer, compute: Compute): void {
    this.sources.get(layer)?.end();
    const end = wrapCall(layer, (call) => (inputs, kwargs) => {
      tf.tidy(() => this.set(compute(Array.isArray(inputs) ? inputs : [inputs])));
      return call(inputs, kwargs);
    });
    this.sources.set(layer, {compute, end});
  }

  /** One layer is called in another's place from now on. */
  move(from: Layer, to: Layer): void {
    const source = this.sources.get(from);
    if (source === undefined) return;
    source.end();
    this.sources.delete(from);
    this.from(to, source.compute);
  }

  clear(): void {
    for (const {end} of this.sources.values()) end();
    this.sources.clear();
    this.set(null);
  }
}

/** How many tasks all routers of the active adapters know; undefined if none looks at tasks. */
export function tasksOf(sites: readonly AdaptedSite[]): number | undefined {
  const known = sites.flatMap(({tasks}) => (tasks === undefined ? [] : [tasks]));
  return known.length === 0 ? undefined : Math.min(...known);
}

function owned(context: RouterContext, tasks: number | undefined): RouterContext {
  checkOptions('setContext', context, KEYS);
  const kept: Record<string, unknown> = {};
  for (const key of KEYS) {
    const value = context[key];
    if (value === undefined) continue;
    if (key === 'noise' ? typeof value !== 'function' : !(value instanceof tf.Tensor)) {
      throw new ConfigError(
        `setContext: ${key} must be a ${key === 'noise' ? 'function' : 'tensor'}. Make it one.`,
      );
    }
    if (value instanceof tf.Tensor && value.isDisposed) {
      throw new ConfigError(`setContext: ${key} is a tensor that was disposed. Give one that still lives.`);
    }
  }
  // As it was given: a copy, or a cast, might have to be read back from a GPU.
  if (context.task !== undefined && tasks !== undefined) checkTasks('setContext', context.task, tasks);
  for (const key of KEYS) {
    const value = context[key];
    if (value instanceof tf.Tensor)
      kept[key] = tf.keep(value.dtype === 'float32' ? tf.clone(value) : tf.cast(value, 'float32'));
    else if (value !== undefined) kept[key] = value;
  }
  return kept as RouterContext;
}

function tensorsOf(context: RouterContext | undefined): tf.Tensor[] {
  const values: unknown[] = Object.values(context ?? {});
  return values.filter((value) => value instanceof tf.Tensor);
}

function dispose(context: RouterContext | undefined): void {
  tf.dispose(tensorsOf(context));
}
