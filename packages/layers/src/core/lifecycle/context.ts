import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {checkOptions, checkTasks, type RouterContext} from '@tfjs-peft/routers';
import type {AdaptedSite} from '../sites/adapted-site.js';
import type {Layer} from '../tfjs/internals.js';
import {wrapCall} from '../tfjs/wrap-methods.js';

const KEYS = ['intuition', 'sentence', 'task', 'mask', 'noise'] as const;

/** Computes the context of a batch from the inputs of a layer. */
type Compute = (inputs: tf.Tensor[]) => RouterContext;

/**
 * The context of a model's batches for its routers: set by hand, or computed whenever a given layer is
 * called.
 */
export class ContextStore {
  private current: RouterContext | undefined;
  /** Layers whose calls compute the context, and functions that end this. */
  private readonly sources = new Map<Layer, {compute: Compute; end: () => void}>();

  /**
   * @param tasks Returns the number of tasks that the routers of the active adapter know; undefined if none
   * reads tasks.
   */
  constructor(private readonly tasks: () => number | undefined) {}

  /**
   * @throws ConfigError if a key is unknown, a value is not a tensor, or the routers do not know a task's
   * number. The context is then unchanged.
   */
  set(context: RouterContext | null): void {
    const before = this.current;
    this.current = context === null ? undefined : owned(context, this.tasks());
    dispose(before);
  }

  readonly get = (): RouterContext | undefined => this.current;

  /**
   * Whether the context set by hand has one row for each of `samples` samples, of which a batch may be a
   * part.
   */
  hasRows(samples: number): boolean {
    return (
      samples > 1 &&
      this.sources.size === 0 &&
      tensorsOf(this.current).some(({shape}) => shape[0] === samples)
    );
  }

  /**
   * Runs with the rows at some places, int32 [n], instead of those of all samples. Tensors with one row for
   * all stay.
   */
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
   * Computes the context from a layer's inputs at each of its calls. tfjs's call hook would not do: a layer
   * has only one, which belongs to the user, and many classes never call it.
   */
  from(layer: Layer, compute: Compute): void {
    this.sources.get(layer)?.end();
    const end = wrapCall(layer, (call) => (inputs, kwargs) => {
      tf.tidy(() => this.set(compute(Array.isArray(inputs) ? inputs : [inputs])));
      return call(inputs, kwargs);
    });
    this.sources.set(layer, {compute, end});
  }

  /** Follows a layer that another one replaces. */
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

/** The number of tasks that all routers of the active adapters know; undefined if none reads tasks. */
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
        `setContext: ${key} is ${describe(value)}. Pass a ${key === 'noise' ? 'function' : 'tensor'}.`,
      );
    }
    if (value instanceof tf.Tensor && value.isDisposed) {
      throw new ConfigError(`setContext: ${key} is a disposed tensor. Pass a new one.`);
    }
  }
  // The tensor itself: a copy or a cast might have to be read back from a GPU.
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
