import * as tf from '@tensorflow/tfjs-core';
import {onAttach} from '../backends/wasm/attach.js';
import {replaceKernel} from '../kernel-registry.js';
import {shared} from '../shared.js';
import {noteStockKernel} from '../stock-kernels.js';

const BACKEND = 'wasm';

interface Override {
  kernel(stock: tf.KernelFunc): tf.KernelFunc;
  /** `stock` is undefined where the backend has none. */
  active?: {ours: tf.KernelConfig; stock: tf.KernelConfig | undefined};
}

/** Shared, since a second copy of this package would take the first one's kernels for the stock ones. */
const wanted = shared('kernels.overrides', () => new Map<string, Override>());

/**
 * Puts a kernel in front of the stock one of the wasm backend, which it gets to delegate to. If that backend isn't imported yet
 * there is nothing to replace: it happens when the backend first runs a kernel of ours, or at the next call.
 */
export function overrideKernel(kernelName: string, kernel: Override['kernel']): void {
  if (!wanted.has(kernelName)) wanted.set(kernelName, {kernel});
  apply(kernelName);
}

/** Gives the wasm backend a kernel of which it has none, or a wrong one that ours does without. */
export function supplyKernel(kernelName: string, kernelFunc: tf.KernelFunc): void {
  if (tf.getKernel(kernelName, BACKEND) != null) overrideKernel(kernelName, () => kernelFunc);
  else {
    const ours = {kernelName, backendName: BACKEND, kernelFunc};
    tf.registerKernel(ours);
    wanted.set(kernelName, {kernel: () => kernelFunc, active: {ours, stock: undefined}});
  }
}

/** Puts the stock kernel back. */
export function restoreKernel(kernelName: string): void {
  const active = wanted.get(kernelName)?.active;
  if (active !== undefined && tf.getKernel(kernelName, BACKEND) === active.ours) {
    if (active.stock === undefined) tf.unregisterKernel(kernelName, BACKEND);
    else replaceKernel(active.stock);
  }
  wanted.delete(kernelName);
  noteStockKernel(kernelName, undefined);
}

function apply(kernelName: string): void {
  const override = wanted.get(kernelName)!;
  const current = tf.getKernel(kernelName, BACKEND);
  if (current == null || current === override.active?.ours) return;
  // The stock kernel's set-up goes along, since it is what ours delegates to.
  const ours = {...current, kernelFunc: override.kernel(current.kernelFunc)};
  replaceKernel(ours);
  override.active = {ours, stock: current};
  noteStockKernel(kernelName, current.kernelFunc);
}

interface GradientOverride {
  ours: tf.GradConfig;
  stock: tf.GradConfig | undefined;
}

const wantedGradients = shared('kernels.gradient-overrides', () => new Map<string, GradientOverride>());

/** Replaces a gradient of tfjs-core, on every backend. */
export function overrideGradient(ours: tf.GradConfig): void {
  const stock = tf.getGradient(ours.kernelName);
  if (stock === ours || (stock !== undefined && stock === wantedGradients.get(ours.kernelName)?.ours)) return;
  wantedGradients.set(ours.kernelName, {ours, stock});
  setGradient(ours.kernelName, ours);
}

/** Puts tfjs-core's gradient back, unless somebody else has replaced ours. */
export function restoreGradient(kernelName: string): void {
  const override = wantedGradients.get(kernelName);
  wantedGradients.delete(kernelName);
  if (override !== undefined && tf.getGradient(kernelName) === override.ours)
    setGradient(kernelName, override.stock);
}

function setGradient(kernelName: string, config: tf.GradConfig | undefined): void {
  if (tf.getGradient(kernelName) != null) tf.unregisterGradient(kernelName);
  if (config != null) tf.registerGradient(config);
}

// tfjs or its wasm backend, imported after this package, has registered its own kernels and gradients over ours.
onAttach(() => {
  for (const kernelName of wanted.keys()) apply(kernelName);
  for (const {ours} of [...wantedGradients.values()]) overrideGradient(ours);
});
