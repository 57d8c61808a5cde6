import * as tf from '@tensorflow/tfjs-core';
import {onBackend} from '../backend-setup.js';
import {onAttach} from '../backends/wasm/attach.js';
import {shared} from '../shared.js';

export {overrideKernel, restoreKernel, supplyKernel} from '../kernel-overrides.js';

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

// tfjs, imported after this package, has registered its own gradients over ours.
function overrideAgain(): void {
  for (const {ours} of [...wantedGradients.values()]) overrideGradient(ours);
}
onBackend('wasm', overrideAgain);
onAttach(overrideAgain);
