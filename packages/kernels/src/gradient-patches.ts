import * as tf from '@tensorflow/tfjs-core';
import type {Patch, Reason, Slot} from './patches.js';

type GradientFunctions = ReturnType<tf.GradFunc>;

/** The gradient of one of tfjs's kernels, with the attributes that this kernel has. */
export interface Gradient<Attrs> {
  kernelName: string;
  inputsToSave?: string[];
  saveAllInputs?: boolean;
  outputsToSave?: boolean[];
  /**
   * Gets the gradient of the first output, what was saved, the attributes, and the gradients of all outputs.
   */
  gradFunc(dy: tf.Tensor, saved: tf.Tensor[], attrs: Attrs, dys: tf.Tensor[]): GradientFunctions;
}

function gradientSlot(kernelName: string): Slot<tf.GradConfig> {
  return {
    key: `gradient ${kernelName}`,
    read: () => tf.getGradient(kernelName),
    write: (config) => {
      if (tf.getGradient(kernelName) != null) tf.unregisterGradient(kernelName);
      if (config !== undefined) tf.registerGradient(config);
    },
    ready: () => true,
  };
}

function configOf<Attrs>({gradFunc, ...rest}: Gradient<Attrs>): tf.GradConfig {
  return {
    ...rest,
    gradFunc: (dys, saved, attrs) => {
      // tfjs unwraps the list where there is only one output.
      const list = [dys].flat();
      // tfjs has one type for the attributes of all kernels; they are those that the kernel was called with.
      return gradFunc(list[0]!, saved, attrs as unknown as Attrs, list);
    },
  };
}

/** A gradient that takes the place of tfjs's own, if it has one. */
export function gradientPatch<Attrs>(
  gradient: Gradient<Attrs>,
  reason: Reason = 'gradients',
): Patch<tf.GradConfig> {
  const config = configOf(gradient);
  return {slot: gradientSlot(gradient.kernelName), reason, make: () => config};
}

/** tfjs's own gradient, as the one of ours that wraps it receives it. */
export type StockGradient<Attrs> = (
  dys: tf.Tensor | tf.Tensor[],
  saved: tf.Tensor[],
  attrs: Attrs,
) => GradientFunctions;

/** A gradient that wraps tfjs's own, to which it can leave the cases that are right. */
export function gradientWrap<Attrs>(
  kernelName: string,
  wrap: (stock: StockGradient<Attrs>) => Gradient<Attrs>['gradFunc'],
): Patch<tf.GradConfig> {
  return {
    slot: gradientSlot(kernelName),
    reason: 'gradients',
    // As above: the attributes are those that the kernel was called with.
    make: (stock) =>
      stock && configOf({...stock, gradFunc: wrap(stock.gradFunc as unknown as StockGradient<Attrs>)}),
  };
}
