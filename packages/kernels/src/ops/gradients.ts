import type * as tf from '@tensorflow/tfjs-core';
import {gradientPatch} from '../gradient-patches.js';
import {hasOptionalInputs, type KernelAttrs, type KernelInputs, type KernelName} from '../kernel-map.js';
import {type CallAttrs, unpackInputs} from '../kernel-registry.js';
import type {AnyPatch} from '../patches.js';
import {shared} from '../shared.js';
import {SharedGradients} from './shared-gradients.js';

/** A node of the tape whose gradients are asked for. */
export interface GradientCall<Name extends KernelName> {
  /** The gradient of the first output. */
  dy: tf.Tensor;
  /** The gradients of all outputs. */
  dys: tf.Tensor[];
  /** The inputs; only those that were to be saved are there. */
  inputs: KernelInputs<Name, tf.Tensor>;
  /** The outputs that were saved. */
  outputs: tf.Tensor[];
  attrs: KernelAttrs<Name>;
  /** The axes before the last, if the inputs are no matrices; see leading-axes.ts. */
  leading: number[] | undefined;
  /** Makes what the gradients share, and disposes it when the last of them is computed. */
  shared: SharedGradients;
}

type Functions<Name extends KernelName> = {
  [Input in keyof KernelInputs<Name>]?: (() => tf.Tensor) | undefined;
};

/**
 * Shared, so that an entry point of one copy of this package also registers the gradients of another copy's
 * ops.
 */
const gradients = shared('kernels.op-gradients', () => new Map<KernelName, AnyPatch>());

/**
 * Says how a kernel's gradients are computed, each by a function that runs only if it is asked for.
 *
 * @param saves The inputs to save, which are all where some are optional, and which of the outputs are.
 */
export function definePeftGradient<Name extends KernelName>(
  kernelName: Name,
  saves: {inputs?: readonly (keyof KernelInputs<Name> & string)[]; outputs?: boolean[]},
  gradientsOf: (call: GradientCall<Name>) => Functions<Name>,
): void {
  const packed = hasOptionalInputs(kernelName);
  const inputsToSave = [...(saves.inputs ?? [])];
  const gradient = gradientPatch<KernelAttrs<Name> & CallAttrs>(
    {
      kernelName,
      ...(packed ? {saveAllInputs: true} : {inputsToSave}),
      ...(saves.outputs && {outputsToSave: saves.outputs}),
      gradFunc: (dy, saved, attrs, dys) => {
        const names = packed ? attrs.names! : inputsToSave;
        const ofNode = new SharedGradients();
        const functions: Record<string, (() => tf.Tensor) | undefined> = gradientsOf({
          dy,
          dys,
          // Every input of the row that the call had, or that was to be saved.
          inputs: unpackInputs(saved.slice(0, names.length), names) as KernelInputs<Name, tf.Tensor>,
          outputs: saved.slice(names.length),
          attrs,
          leading: attrs.leading,
          shared: ofNode,
        });
        // tfjs calls packed inputs by their numbers.
        const keyed = packed
          ? names.map((name, i): [string, () => tf.Tensor] => [String(i), functions[name]!])
          : Object.entries(functions).map(([name, func]): [string, () => tf.Tensor] => [name, func!]);
        const ending = ofNode.endingWith(keyed.map(([, func]) => func));
        return Object.fromEntries(keyed.map(([key], i) => [key, ending[i]!]));
      },
    },
    'fused',
  );
  gradients.set(kernelName, gradient);
}

/** The gradient of a kernel, if its op is loaded and it has one. */
export function peftGradient(kernelName: KernelName): AnyPatch[] {
  const known = gradients.get(kernelName);
  return known === undefined ? [] : [known];
}

/** The gradients of the kernels of all ops that are loaded. */
export function peftGradients(): AnyPatch[] {
  return [...gradients.values()];
}
