import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions, type RouterContext} from '@tfjs-peft/routers';
import type {Layer} from '../upgrade/internals.js';
import {wrapCall} from '../upgrade/wrap-call.js';

const KEYS = ['intuition', 'sentence', 'task', 'mask', 'noise'] as const;

/** Gives what a batch brings along, of some layer's inputs. */
type Compute = (inputs: tf.Tensor[]) => RouterContext;

/** What the batches of a model bring along for its routers: set by hand, or computed whenever some layer is called. */
export class ContextStore {
  private current: RouterContext | undefined;
  /** What is computed at the calls of a layer, and what ends it. */
  private readonly sources = new Map<Layer, {compute: Compute; end: () => void}>();

  /** @throws ConfigError if a key is unknown or its value no tensor. The context is then as before. */
  set(context: RouterContext | null): void {
    const before = this.current;
    this.current = context === null ? undefined : owned(context);
    dispose(before);
  }

  readonly get = (): RouterContext | undefined => this.current;

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

function owned(context: RouterContext): RouterContext {
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
  }
  for (const key of KEYS) {
    const value = context[key];
    if (value instanceof tf.Tensor)
      kept[key] = tf.keep(value.dtype === 'float32' ? tf.clone(value) : tf.cast(value, 'float32'));
    else if (value !== undefined) kept[key] = value;
  }
  return kept as RouterContext;
}

function dispose(context: RouterContext | undefined): void {
  if (context === undefined) return;
  const {noise: _, ...tensors} = context;
  tf.dispose(Object.values(tensors));
}
