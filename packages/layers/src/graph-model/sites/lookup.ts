import * as tf from '@tensorflow/tfjs-core';
import {lookup} from '../../core/sites/operations/lookup.js';
import {constantAt} from '../constants.js';
import {attribute} from '../internals.js';
import type {MatchNode} from './node-site.js';

/** A Gather of rows of a constant table, which is how an Embedding is written. */
export const matchLookup: MatchNode = (executor, node) => {
  const weight = constantAt(executor, node, 0);
  if (weight === undefined) return {reason: 'looks up in a table that is computed'};
  if (weight.dtype !== 'float32' || weight.shape.length !== 2) {
    return {reason: `has a table [${weight.shape}] of ${weight.dtype}, but must have a matrix of float32`};
  }
  const axis = node.inputs.length > 2 ? constantAt(executor, node, 2)?.read().dataSync()[0] : 0;
  if (axis !== 0 || (attribute<number>(node, 'batchDims') ?? 0) !== 0) {
    return {reason: 'looks up along another axis than the first'};
  }
  return {
    kind: 'embedding',
    weight,
    absorbed: [],
    tail: [weight.shape[1]!],
    input: (inputs) => tf.cast(inputs[1]!, 'int32'),
    operation: lookup(() => weight.read() as tf.Tensor2D),
  };
};
