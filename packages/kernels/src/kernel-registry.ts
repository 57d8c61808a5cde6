import * as tf from '@tensorflow/tfjs-core';
import {checkCall} from './kernel-checks.js';
import {
  hasOptionalInputs,
  KERNEL_NAMES,
  type KernelAttrs,
  type KernelInputs,
  type KernelName,
  type PeftKernel,
  type PeftKernels,
} from './kernel-map.js';
import {kernelSlot} from './kernel-patches.js';
import {onMatrices, onMatrixTensors} from './leading-axes.js';
import {type AnyPatch, PatchSet} from './patches.js';

type InputMap = Record<string, tf.TensorInfo>;

/** What a call of a kernel has besides the kernel's own attributes. */
export interface CallAttrs {
  /** The names of the inputs, where they come as a list. */
  names?: string[];
  /** Also return a second handle of the first output. */
  saveY?: boolean;
  /** The axes before the last of those tensors that have a row for each position; see leading-axes.ts. */
  leading?: number[];
}

/**
 * tfjs can save inputs for the gradient by name only if all of them are always there, or all of an array.
 * Kernels with optional inputs therefore get an array, with the names as an attribute.
 */
export function packInputs(
  kernelName: KernelName,
  inputs: Record<string, tf.Tensor | undefined>,
): {packed: tf.NamedTensorMap; names?: string[]} {
  if (!hasOptionalInputs(kernelName)) return {packed: inputs as tf.NamedTensorMap};
  const given = Object.entries(inputs).flatMap(([name, tensor]) => (tensor == null ? [] : [{name, tensor}]));
  // tfjs takes an array too, though its types do not say so.
  const packed = given.map(({tensor}) => tensor) as unknown as tf.NamedTensorMap;
  return {packed, names: given.map(({name}) => name)};
}

/** The inverse of {@link packInputs}. */
export function unpackInputs<T>(
  inputs: ArrayLike<T> | Record<string, T>,
  names?: readonly string[],
): Record<string, T> {
  if (names === undefined) return inputs as Record<string, T>;
  return Object.fromEntries(names.map((name, i) => [name, (inputs as ArrayLike<T>)[i]!]));
}

/**
 * A kernel of ours as tfjs calls it. Inputs that do not fit each other never reach it: see kernel-map.ts.
 */
function kernelFunc<Name extends KernelName>(
  kernelName: Name,
  kernel: PeftKernel<Name>,
  composed: boolean,
): tf.KernelFunc {
  return ({inputs, attrs = {}, backend}) => {
    const {names, saveY, leading} = attrs as CallAttrs;
    const own = backend as tf.KernelBackend;
    const named = unpackInputs(inputs as InputMap, names);
    checkCall(kernelName, named, attrs);
    const run = (given: InputMap) =>
      kernel({
        // The check has found the row's inputs there.
        inputs: given as KernelInputs<Name>,
        // And the attributes are those that runPeftKernel gave.
        attrs: attrs as unknown as KernelAttrs<Name>,
        backend: own,
      });
    const outputs: tf.TensorInfo | tf.TensorInfo[] =
      leading === undefined
        ? run(named)
        : composed
          ? onMatrixTensors(run, named, leading)
          : onMatrices(run, named, leading, own);
    if (!saveY) return outputs;
    // The gradient keeps y under a handle of its own, so that a y which it doesn't need is not kept alive.
    const list = Array.isArray(outputs) ? outputs : [outputs];
    const {dataId, shape, dtype} = list[0]!;
    own.incRef(dataId);
    return [...list, {dataId, shape, dtype}];
  };
}

/**
 * The patches that give a backend kernels of ours.
 *
 * @param reason `fused` for the backend's own kernels, `composed` for those composed of tfjs's ops, which
 * work on tensors.
 */
export function peftKernelPatches(
  backendName: string,
  kernels: PeftKernels,
  reason: 'fused' | 'composed' = 'fused',
): AnyPatch[] {
  const patch = <Name extends KernelName>(
    kernelName: Name,
    kernel: PeftKernel<Name> | undefined,
  ): AnyPatch[] => {
    if (kernel === undefined) return [];
    const func = kernelFunc(kernelName, kernel, reason === 'composed');
    const config = {kernelName, backendName, kernelFunc: func};
    return [{slot: kernelSlot(kernelName, backendName), reason, make: () => config}];
  };
  return KERNEL_NAMES.flatMap((name) => patch(name, kernels[name] as PeftKernel<typeof name>));
}

/**
 * Gives a backend kernels for the ops of this package. It is for backends that have no entry point here,
 * and the backend may be registered later. What the backend lacks is composed of tfjs's ops. A second call
 * replaces the kernels of the first.
 *
 * @param backendName The name under which the backend is registered in tfjs.
 * @param kernels Kernels by name, each of which works on the backend's own tensors; see {@link
 * PeftKernels}.
 * @example
 * ```ts
 * import {registerPeftKernels} from '@tfjs-peft/kernels';
 *
 * registerPeftKernels('my-backend', {}); // all kernels composed of tfjs's ops
 * ```
 */
export function registerPeftKernels(backendName: string, kernels: PeftKernels): void {
  const patches = new PatchSet(`kernels of ${backendName}`, () => peftKernelPatches(backendName, kernels));
  patches.restore();
  patches.apply();
}

/**
 * Unregisters the kernels that {@link registerPeftKernels} gave a backend.
 *
 * @example
 * ```ts
 * import {unregisterPeftKernels} from '@tfjs-peft/kernels';
 *
 * unregisterPeftKernels('my-backend');
 * ```
 */
export function unregisterPeftKernels(backendName: string): void {
  new PatchSet(`kernels of ${backendName}`, () => []).restore();
}

/** Whether a gradient tape is recording: only then do the ops keep what their gradient needs. */
export function isRecording(): boolean {
  return tf.engine().state.gradientDepth > 0;
}
