import * as tf from '@tensorflow/tfjs-core';
import {onBackend} from './backend-setup.js';
import {replaceKernel} from './kernel-registry.js';
import {shared} from './shared.js';
import {noteStockKernel} from './stock-kernels.js';

type Decorator = (stock: tf.KernelFunc) => tf.KernelFunc;

/** Which kernel of which backend, and what it is put in front of for: each reason has one decorator. */
interface Place {
  backend?: string;
  reason?: string;
}

interface Override {
  kernelName: string;
  backendName: string;
  /** By reason, from the inside out. */
  decorators: Map<string, Decorator>;
  /** A kernel of ours that stands for the stock one. */
  supplied?: tf.KernelFunc;
  /** `stock` is undefined where the backend has none. */
  active?: {ours: tf.KernelConfig; stock: tf.KernelConfig | undefined};
}

/** Shared, since a second copy of this package would take the first one's kernels for the stock ones. */
const wanted = shared('kernels.overrides', () => new Map<string, Override>());

/** What kernels of ours carry: the reasons for them, so that others can tell, whichever copy of this package registered them. */
const REASONS = Symbol.for('tfjs-peft.kernel');

function overrideOf(kernelName: string, backendName: string): Override {
  const key = `${backendName}/${kernelName}`;
  const found = wanted.get(key) ?? {kernelName, backendName, decorators: new Map()};
  wanted.set(key, found);
  return found;
}

/**
 * Puts a kernel in front of the stock one of a backend (the wasm one, unless said otherwise), which it gets to delegate to. If that backend
 * isn't imported yet there is nothing to replace: it happens when the backend becomes the active one.
 */
export function overrideKernel(
  kernelName: string,
  kernel: Decorator,
  {backend = 'wasm', reason = 'training'}: Place = {},
): void {
  const override = overrideOf(kernelName, backend);
  if (override.decorators.has(reason)) {
    apply(override);
    return;
  }
  override.decorators.set(reason, kernel);
  renew(override);
}

/** Gives the wasm backend a kernel of which it has none, or a wrong one that ours does without. */
export function supplyKernel(kernelName: string, kernelFunc: tf.KernelFunc): void {
  const override = overrideOf(kernelName, 'wasm');
  if (override.supplied !== undefined) {
    apply(override);
    return;
  }
  override.supplied = kernelFunc;
  renew(override);
}

/** Takes away what was put in front of a kernel for that reason, and what was supplied for training. */
export function restoreKernel(kernelName: string, {backend = 'wasm', reason = 'training'}: Place = {}): void {
  const override = overrideOf(kernelName, backend);
  const supplied = reason === 'training' && override.supplied !== undefined;
  if (supplied) delete override.supplied;
  if (override.decorators.delete(reason) || supplied) renew(override);
}

/** Puts the stock kernel back, and in front of it what is wanted. */
function renew(override: Override): void {
  const {kernelName, backendName, active} = override;
  if (active !== undefined && tf.getKernel(kernelName, backendName) === active.ours) {
    if (active.stock === undefined) tf.unregisterKernel(kernelName, backendName);
    else replaceKernel(active.stock);
  }
  delete override.active;
  if (backendName === 'wasm') noteStockKernel(kernelName, undefined);
  apply(override);
}

function apply(override: Override): void {
  const {kernelName, backendName, decorators, supplied} = override;
  // A backend registers all its kernels when it is imported, over ours.
  if (tf.findBackendFactory(backendName) == null) return;
  const stock = tf.getKernel(kernelName, backendName) as tf.KernelConfig | undefined;
  if (stock !== undefined && stock === override.active?.ours) return;
  const base = supplied ?? stock?.kernelFunc;
  if (base === undefined || (decorators.size === 0 && supplied === undefined)) return;
  // The stock kernel's set-up goes along, since it is what ours delegates to.
  const kernelFunc = [...decorators.values()].reduce((inner, decorate) => decorate(inner), base);
  const reasons = [...(supplied === undefined ? [] : ['training']), ...decorators.keys()];
  Object.defineProperty(kernelFunc, REASONS, {value: reasons, configurable: true});
  const ours = {...stock, kernelName, backendName, kernelFunc};
  replaceKernel(ours);
  override.active = {ours, stock};
  if (backendName === 'wasm' && stock !== undefined) noteStockKernel(kernelName, stock.kernelFunc);
}

/** Puts what is wanted in front of a backend's kernels, of which some may have been registered since. */
function applyAll(backendName: string): void {
  for (const override of wanted.values()) if (override.backendName === backendName) apply(override);
}

for (const backendName of ['cpu', 'wasm', 'webgl', 'webgpu'])
  onBackend(backendName, () => applyAll(backendName));
