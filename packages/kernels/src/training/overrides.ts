import * as tf from '@tensorflow/tfjs-core';
import {onAttach} from '../backends/wasm/attach.js';
import {replaceKernel} from '../kernel-registry.js';

const BACKEND = 'wasm';

interface Override {
  kernel(stock: tf.KernelFunc): tf.KernelFunc;
  active?: {ours: tf.KernelConfig; stock: tf.KernelConfig};
}

const wanted = new Map<string, Override>();

/**
 * Puts a kernel in front of the stock one of the wasm backend, which it gets to delegate to. If that backend isn't imported yet
 * there is nothing to replace: it happens when the backend first runs a kernel of ours, or at the next call.
 */
export function overrideKernel(kernelName: string, kernel: Override['kernel']): void {
  if (!wanted.has(kernelName)) wanted.set(kernelName, {kernel});
  apply(kernelName);
}

/** Puts the stock kernel back. */
export function restoreKernel(kernelName: string): void {
  const active = wanted.get(kernelName)?.active;
  if (active !== undefined && tf.getKernel(kernelName, BACKEND) === active.ours) replaceKernel(active.stock);
  wanted.delete(kernelName);
}

function apply(kernelName: string): void {
  const override = wanted.get(kernelName)!;
  const current = tf.getKernel(kernelName, BACKEND);
  if (current == null || current === override.active?.ours) return;
  // The stock kernel's set-up goes along, since it is what ours delegates to.
  const ours = {...current, kernelFunc: override.kernel(current.kernelFunc)};
  replaceKernel(ours);
  override.active = {ours, stock: current};
}

// A wasm backend that was imported after ours has registered its own kernels over ours.
onAttach(() => {
  for (const kernelName of wanted.keys()) apply(kernelName);
});

const stockGradients = new Map<string, tf.GradConfig | undefined>();

/** Replaces a gradient of tfjs-core, on every backend. */
export function overrideGradient(config: tf.GradConfig): void {
  const current = tf.getGradient(config.kernelName);
  if (current === config) return;
  stockGradients.set(config.kernelName, current);
  if (current != null) tf.unregisterGradient(config.kernelName);
  tf.registerGradient(config);
}

/** Puts tfjs-core's gradient back, if `config` is still the one in force. */
export function restoreGradient(config: tf.GradConfig): void {
  if (tf.getGradient(config.kernelName) !== config) return;
  tf.unregisterGradient(config.kernelName);
  const stock = stockGradients.get(config.kernelName);
  if (stock != null) tf.registerGradient(stock);
}
