import * as tf from '@tensorflow/tfjs-core';
import {withArticle} from '../../core/messages.js';
import {lookup} from '../../core/sites/operations/lookup.js';
import {constantAt} from '../constants.js';
import {attribute} from '../internals.js';
import type {MatchNode} from './node-site.js';

/** A Gather of rows of a constant table, which is how an Embedding is written. */
export const matchLookup: MatchNode = (executor, node) => {
  const weight = constantAt(executor, node, 0);
  if (weight === undefined) return {reason: 'looks up rows of a table that is not a constant'};
  if (weight.dtype !== 'float32' || weight.shape.length !== 2) {
    return {
      reason: `has ${withArticle(weight.dtype)} table [${weight.shape}]; adapters need a float32 matrix`,
    };
  }
  const axis = node.inputs.length > 2 ? constantAt(executor, node, 2)?.read().dataSync()[0] : 0;
  if (axis !== 0 || (attribute<number>(node, 'batchDims') ?? 0) !== 0) {
    return {reason: 'looks up along an axis other than the first'};
  }
  return {
    kind: 'embedding',
    weight,
    place: {shape: weight.shape},
    absorbed: [],
    tail: [weight.shape[1]!],
    input: (inputs) => tf.cast(inputs[1]!, 'int32'),
    operation: lookup(() => weight.read() as tf.Tensor2D),
  };
};
