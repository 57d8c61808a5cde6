import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '../errors.js';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

const COMPARISONS = ['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual'];
const LOGIC: Record<string, string[]> = {
  LogicalAnd: ['a', 'b'],
  LogicalOr: ['a', 'b'],
  LogicalNot: ['x'],
};

/** Ops whose result is a choice or a count, which does not follow small changes of the inputs. */
const CHOICES: Record<string, string[]> = {
  SearchSorted: ['sortedSequence', 'values'],
  Multinomial: ['logits'],
  BitwiseAnd: ['a', 'b'],
  Any: ['x'],
  All: ['x'],
};

/** Whether an op on the gradient tape computed the tensor of which a copy was saved for a gradient. */
function wasComputed(saved: tf.Tensor): boolean {
  const tape = tf.engine().state.activeTape ?? [];
  const maker = ({id}: tf.Tensor) => tape.find(({outputs}) => outputs.some((output) => output.id === id));
  const original = maker(saved)?.inputs.x;
  return original === undefined || maker(original) !== undefined;
}

const zeros = (shape: number[]) => () => tf.zeros(shape);

/** The gradient of a logical op with respect to one of its inputs. */
const ofLogic = (kernelName: string, input: tf.Tensor) => () => {
  if (wasComputed(input)) return tf.zeros(input.shape);
  throw new NoGradientError(
    `${kernelName}: no gradient with respect to a boolean tensor, here of shape [${input.shape}]. ` +
      'Differentiate with respect to the numbers that it was computed from.',
  );
};

/**
 * Comparisons are piecewise constant, so their gradient is zero, where stock tfjs throws; the same holds for
 * logic on their results. The gradient of a boolean tensor itself can only be a mistake: it still throws, a
 * NoGradientError.
 */
export const COMPARISON_GRADIENTS: AnyPatch[] = [
  ...COMPARISONS.map((kernelName) =>
    gradientPatch({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (_, saved) => ({a: zeros(saved[0]!.shape), b: zeros(saved[1]!.shape)}),
    }),
  ),
  ...Object.entries(CHOICES).map(([kernelName, inputsToSave]) =>
    gradientPatch({
      kernelName,
      inputsToSave,
      gradFunc: (_, saved) =>
        Object.fromEntries(inputsToSave.map((name, i) => [name, zeros(saved[i]!.shape)])),
    }),
  ),
  ...Object.entries(LOGIC).map(([kernelName, inputsToSave]) =>
    gradientPatch({
      kernelName,
      inputsToSave,
      // tfjs asks only for the inputs through which the gradient passes.
      gradFunc: (_, saved) =>
        Object.fromEntries(inputsToSave.map((name, i) => [name, ofLogic(kernelName, saved[i]!)])),
    }),
  ),
];
