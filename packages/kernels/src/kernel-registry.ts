import * as tf from '@tensorflow/tfjs-core';
import {checkCall} from './kernel-checks.js';
import {onMatrices, onMatrixTensors} from './leading-axes.js';

export * from './kernel-names.js';

type InputMap = Record<string, tf.TensorInfo>;

/** A kernel of ours on one backend: named inputs, of which the optional ones may be absent. */
export type PeftKernel = (call: {
  inputs: InputMap;
  attrs: Record<string, unknown>;
  backend: tf.KernelBackend;
}) => tf.TensorInfo | tf.TensorInfo[];

interface CallAttrs {
  names?: string[];
  saveY?: boolean;
  /** The axes before the last of those tensors that have a row for each position; see leading-axes.ts. */
  leading?: number[];
}

/**
 * tfjs can save inputs for the gradient by name only if all of them are always there, or all of an array. Ops with optional
 * inputs therefore pass an array, with the names in `attrs.names`.
 */
export function packInputs(inputs: Record<string, tf.Tensor | undefined>): {
  tensors: tf.NamedTensorMap;
  names: string[];
} {
  const names = Object.keys(inputs).filter((name) => inputs[name] != null);
  return {tensors: names.map((name) => inputs[name]!) as unknown as tf.NamedTensorMap, names};
}

/** The inverse of {@link packInputs}. */
export function unpackInputs<T>(
  inputs: ArrayLike<T> | Record<string, T>,
  names?: string[],
): Record<string, T> {
  if (names === undefined) return inputs as Record<string, T>;
  return Object.fromEntries(names.map((name, i) => [name, (inputs as ArrayLike<T>)[i]!]));
}

/** tfjs's own registerKernel prints a warning where a kernel is there already. */
export function replaceKernel(config: tf.KernelConfig): void {
  if (tf.getKernel(config.kernelName, config.backendName) != null) {
    tf.unregisterKernel(config.kernelName, config.backendName);
  }
  tf.registerKernel(config);
}

/**
 * Registers kernels of ours for one backend, which need not exist yet; replaces what stood there. Inputs that do not fit each other never
 * reach a kernel: see kernel-shapes.ts.
 */
export function registerPeftKernels(
  backendName: string,
  kernels: Record<string, PeftKernel>,
  /** Whether the kernels are composed of tfjs's ops, and so work on tensors and return them. */
  composed = false,
): void {
  for (const [kernelName, kernel] of Object.entries(kernels)) {
    replaceKernel({
      kernelName,
      backendName,
      kernelFunc: ({inputs, attrs, backend}) => {
        const {names, saveY, leading} = (attrs ?? {}) as CallAttrs;
        const own = backend as tf.KernelBackend;
        const run = (named: InputMap) => kernel({inputs: named, attrs: attrs ?? {}, backend: own});
        const named = unpackInputs(inputs as InputMap, names);
        checkCall(kernelName, named, attrs ?? {});
        const outputs =
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
      },
    });
  }
}

/** Whether a gradient tape is recording: only then do the ops keep what their gradient needs. */
export function isRecording(): boolean {
  return tf.engine().state.gradientDepth > 0;
}
