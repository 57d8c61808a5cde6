import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions, type RouterContext} from '@tfjs-peft/routers';
import type {Layer} from '../upgrade/internals.js';

const KEYS = ['intuition', 'sentence', 'task', 'mask', 'noise'] as const;

/** What the batches of a model bring along for its routers: set by hand, or computed whenever some layer is called. */
export class ContextStore {
  private current: RouterContext | undefined;
  private readonly sources = new Map<Layer, string>();

  /** @throws ConfigError if a key is unknown or its value no tensor. The context is then as before. */
  set(context: RouterContext | null): void {
    const before = this.current;
    this.current = context === null ? undefined : owned(context);
    dispose(before);
  }

  readonly get = (): RouterContext | undefined => this.current;

  /** Computes the context from a layer's inputs at each of its calls. */
  from(layer: Layer, path: string, compute: (inputs: tf.Tensor[]) => RouterContext): void {
    this.sources.set(layer, path);
    layer.setCallHook((inputs) => {
      const computed = compute(Array.isArray(inputs) ? inputs : [inputs]);
      this.set(computed);
    });
  }

  clear(): void {
    for (const layer of this.sources.keys()) layer.clearCallHook();
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
