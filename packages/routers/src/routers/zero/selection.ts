import * as tf from '@tensorflow/tfjs-core';
import {topKGates} from '@tfjs-peft/kernels';
import {keepMasked, topKMask} from '../../keep-top-k.js';

/**
 * Which experts keep their weight.
 * - `auto`: those with at least `theta` times the largest probability, renormalised (Auto Top-K of the
 *   paper), of the `maxActive` most probable ones where that is set.
 * - `top-k`: the `topK` most probable, renormalised; one alone has weight 1.
 * - `all`: all, as they are.
 * - `auto-sigmoid`, `top-k-sigmoid`: all, weighted by a sigmoid around the threshold of `auto`, or around the
 *   k-th largest, and renormalised (the released code).
 */
export type Selection = 'auto' | 'top-k' | 'all' | 'auto-sigmoid' | 'top-k-sigmoid';

export const SELECTIONS = [
  'auto',
  'top-k',
  'all',
  'auto-sigmoid',
  'top-k-sigmoid',
] as const satisfies Selection[];

export interface SelectionOptions {
  selection: Selection;
  theta: number;
  topK: number;
  maxActive?: number;
  sharpness: number;
}

/** The gates of `p` [..., E], and, where others have gates too, which experts count as chosen. */
export function select(p: tf.Tensor, options: SelectionOptions): {gates: tf.Tensor; selected?: tf.Tensor} {
  const {selection, theta, topK, sharpness} = options;
  const ofTheta = (values: tf.Tensor) => autoMask(values, theta, options.maxActive);
  const ofRank = (values: tf.Tensor) => topKMask(values, topK);
  switch (selection) {
    case 'all':
      return {gates: p};
    case 'auto':
      return {gates: kept(p, ofTheta)};
    case 'top-k':
      return {gates: topKGates(p, topK, true)};
    case 'auto-sigmoid': {
      const threshold = tf.mul(tf.max(p, -1, true), theta);
      return {gates: softly(p, threshold, sharpness), selected: constantOf(p, ofTheta)};
    }
    case 'top-k-sigmoid': {
      const kth = keepMasked(p, (values) =>
        topK === 1 ? ofRank(values) : tf.sub(ofRank(values), topKMask(values, topK - 1)),
      );
      return {gates: softly(p, tf.sum(kth, -1, true), sharpness), selected: constantOf(p, ofRank)};
    }
  }
}

/** `p` times a constant mask that is made of it, scaled so that rows sum to 1; one op on the tape. */
function kept(p: tf.Tensor, makeMask: (p: tf.Tensor) => tf.Tensor): tf.Tensor {
  const select = tf.customGrad((...args) => {
    const [input, save] = args as [tf.Tensor, tf.GradSaveFunc];
    const mask = makeMask(input);
    const masked = tf.mul(input, mask);
    const total = tf.sum(masked, -1, true);
    const value = tf.div(masked, total);
    save([value, tf.div(mask, total)]);
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [gates, slope] = saved as [tf.Tensor, tf.Tensor];
        return tf.mul(slope, tf.sub(dy, tf.sum(tf.mul(dy, gates), -1, true)));
      },
    };
  });
  return select(p);
}

function softly(p: tf.Tensor, threshold: tf.Tensor, sharpness: number): tf.Tensor {
  return renormalized(tf.mul(p, tf.sigmoid(tf.div(tf.sub(p, threshold), sharpness))));
}

function renormalized(kept: tf.Tensor): tf.Tensor {
  return tf.div(kept, tf.sum(kept, -1, true));
}

function autoMask(p: tf.Tensor, theta: number, maxActive: number | undefined): tf.Tensor {
  const reached = tf.cast(tf.greaterEqual(p, tf.mul(tf.max(p, -1, true), theta)), 'float32');
  const experts = p.shape[p.rank - 1]!;
  return maxActive === undefined || maxActive >= experts ? reached : tf.mul(reached, topKMask(p, maxActive));
}

/** The result of `make` as a constant: its comparisons are kept off the gradient tape. */
function constantOf(p: tf.Tensor, make: (p: tf.Tensor) => tf.Tensor): tf.Tensor {
  return tf.customGrad((input) => ({
    value: make(input as tf.Tensor),
    gradFunc: () => tf.zerosLike(p),
  }))(p);
}
