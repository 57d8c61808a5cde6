import * as tf from '@tensorflow/tfjs-core';
import {replaceGradient} from './registry.js';

const BINARY = [
  'Greater',
  'GreaterEqual',
  'Less',
  'LessEqual',
  'Equal',
  'NotEqual',
  'LogicalAnd',
  'LogicalOr',
];

/** Comparisons and logic are piecewise constant: their gradient is zero, where stock tfjs throws. */
export function registerComparisonGradients(): void {
  const zeros = (shape: number[]) => () => tf.zeros(shape);
  for (const kernelName of BINARY) {
    replaceGradient({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (_, saved) => ({a: zeros(saved[0]!.shape), b: zeros(saved[1]!.shape)}),
    });
  }
  replaceGradient({
    kernelName: 'LogicalNot',
    inputsToSave: ['x'],
    gradFunc: (_, saved) => ({x: zeros(saved[0]!.shape)}),
  });
}
