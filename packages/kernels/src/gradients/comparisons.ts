import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '../errors.js';
import {replaceGradient} from './registry.js';

const COMPARISONS = ['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual'];
const LOGIC: Record<string, string[]> = {
  LogicalAnd: ['a', 'b'],
  LogicalOr: ['a', 'b'],
  LogicalNot: ['x'],
};

/** Ops whose result is chosen or counted: it follows no small change of what they are given. */
const CHOICES: Record<string, string[]> = {
  SearchSorted: ['sortedSequence', 'values'],
  Multinomial: ['logits'],
  BitwiseAnd: ['a', 'b'],
  Any: ['x'],
  All: ['x'],
};

/** Whether an op on the gradient tape made the tensor that was saved, in a copy of its own, for a gradient. */
function wasComputed(saved: tf.Tensor): boolean {
  const tape = tf.engine().state.activeTape ?? [];
  const maker = ({id}: tf.Tensor) => tape.find(({outputs}) => outputs.some((output) => output.id === id));
  const original = maker(saved)?.inputs.x;
  return original === undefined || maker(original) !== undefined;
}

/**
 * Comparisons are piecewise constant: their gradient is zero, where stock tfjs throws; and so it is for logic on their results. Of
 * a boolean tensor itself nobody can have meant to take a gradient: that still throws, a NoGradientError.
 */
export function registerComparisonGradients(): void {
  const zeros = (shape: number[]) => () => tf.zeros(shape);
  for (const kernelName of COMPARISONS) {
    replaceGradient({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (_, saved) => ({a: zeros(saved[0]!.shape), b: zeros(saved[1]!.shape)}),
    });
  }
  for (const [kernelName, inputsToSave] of Object.entries(CHOICES)) {
    replaceGradient({
      kernelName,
      inputsToSave,
      gradFunc: (_, saved) =>
        Object.fromEntries(inputsToSave.map((name, i) => [name, zeros(saved[i]!.shape)])),
    });
  }
  for (const [kernelName, inputsToSave] of Object.entries(LOGIC)) {
    const gradient = (input: tf.Tensor) => () => {
      if (wasComputed(input)) return tf.zeros(input.shape);
      throw new NoGradientError(
        `${kernelName}: no gradient with respect to a boolean tensor, here of shape [${input.shape}]. ` +
          'Differentiate with respect to the numbers that it was computed from.',
      );
    };
    replaceGradient({
      kernelName,
      inputsToSave,
      // tfjs asks only for the inputs that depend on what one differentiates with respect to.
      gradFunc: (_, saved) => Object.fromEntries(inputsToSave.map((name, i) => [name, gradient(saved[i]!)])),
    });
  }
}
