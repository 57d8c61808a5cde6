import * as tf from '@tensorflow/tfjs-core';

/**
 * The mean probability of each expert, [E], over the rows of `probabilities` [..., E].
 *
 * @param mask 1 for the rows to count, else 0, [...]. Default: all rows count.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {meanUsage} from '@tfjs-peft/routers';
 *
 * const usage = meanUsage(tf.tensor2d([[0.5, 0.5], [1, 0]])); // [0.75, 0.25]
 * ```
 */
export function meanUsage(probabilities: tf.Tensor, mask?: tf.Tensor): tf.Tensor1D {
  return tf.tidy(() => {
    const flat = tf.reshape(probabilities, [-1, probabilities.shape[probabilities.rank - 1]!]);
    if (mask === undefined) return tf.mean(flat, 0);
    const rows = tf.reshape(mask, [-1, 1]);
    return tf.div(tf.sum(tf.mul(flat, rows), 0), tf.maximum(tf.sum(rows), 1));
  });
}

/**
 * LiME's importance loss, E Σ u² - 1 of the usage u [E] (arXiv 2604.02338, section 3). It is 0 if all experts
 * are used equally and E - 1 if only one is used.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {importanceLoss} from '@tfjs-peft/routers';
 *
 * const loss = importanceLoss(tf.tensor1d([0.75, 0.25])); // 0.25
 * ```
 */
export function importanceLoss(usage: tf.Tensor1D): tf.Scalar {
  return tf.tidy(() => tf.sub(tf.mul(usage.shape[0], tf.sum(tf.square(usage))), 1));
}

/**
 * LiME's divergence from uniform usage, Σ u log(E u) of the usage u [E]. It is 0 if all experts are used
 * equally and log E if only one is used.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {usageDivergence} from '@tfjs-peft/routers';
 *
 * const loss = usageDivergence(tf.tensor1d([0.75, 0.25])); // 0.131
 * ```
 */
export function usageDivergence(usage: tf.Tensor1D): tf.Scalar {
  // 0 log 0 is 0, and 1e-30 keeps the logarithm finite there.
  return tf.tidy(() => tf.sum(tf.mul(usage, tf.log(tf.mul(usage.shape[0], tf.maximum(usage, 1e-30))))));
}

/**
 * The load balance loss of the Switch Transformer (arXiv 2101.03961, equation 4), as the released MoV code
 * computes it: the mean over the batch of E Σ_e f_e P_e. f_e is the share of a sequence's tokens that chose
 * expert e and has no gradient; P_e is the mean probability of expert e. Uniform routing to k experts gives
 * k.
 *
 * @param probabilities [batch, ..., E]; a tensor of rank 2 counts as one sequence.
 * @param selected 1 where an expert is chosen, else 0; the shape of `probabilities`.
 * @param mask 1 for a real token, 0 for padding, [batch, ...]. Means are then over real tokens, and over the
 * sequences that have at least one. Default: all tokens are real.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {balanceLoss} from '@tfjs-peft/routers';
 *
 * const probabilities = tf.tensor3d([[[0.9, 0.1], [0.4, 0.6]]]);
 * const selected = tf.tensor3d([[[1, 0], [0, 1]]]);
 * const loss = balanceLoss(probabilities, selected); // 1
 * ```
 */
export function balanceLoss(probabilities: tf.Tensor, selected: tf.Tensor, mask?: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    const experts = probabilities.shape[probabilities.rank - 1]!;
    const sequences = probabilities.rank === 2 ? 1 : probabilities.shape[0]!;
    const bySequence = (tensor: tf.Tensor, width: number) => tf.reshape(tensor, [sequences, -1, width]);
    const real = mask && bySequence(mask, 1);
    const tokens = real && tf.sum(real, 1);
    const perSequence = (tensor: tf.Tensor) => {
      const rows = bySequence(tensor, experts);
      if (real === undefined) return tf.mean(rows, 1);
      return tf.div(tf.sum(tf.mul(rows, real), 1), tf.maximum(tokens!, 1));
    };
    const agreement = tf.sum(tf.mul(perSequence(selected), perSequence(probabilities)), -1);
    if (tokens === undefined) return tf.mul(experts, tf.mean(agreement)) as tf.Scalar;
    // Sequences of nothing but padding have agreement 0 and do not count.
    const counted = tf.maximum(tf.sum(tf.minimum(tokens, 1)), 1);
    return tf.mul(experts, tf.div(tf.sum(agreement), counted)) as tf.Scalar;
  });
}

/**
 * The router z-loss of ST-MoE (arXiv 2202.08906, equation 5): the mean of logsumexp(logits)² over the rows of
 * `logits` [..., E].
 *
 * @param mask 1 for the rows to count, else 0, [...]. Default: all rows count.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {zLoss} from '@tfjs-peft/routers';
 *
 * const loss = zLoss(tf.tensor2d([[0, 0], [1, 1]])); // 1.674
 * ```
 */
export function zLoss(logits: tf.Tensor, mask?: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    const squares = tf.reshape(tf.square(tf.logSumExp(logits, -1)), [-1]);
    if (mask === undefined) return tf.mean(squares);
    const rows = tf.reshape(mask, [-1]);
    return tf.div(tf.sum(tf.mul(squares, rows)), tf.maximum(tf.sum(rows), 1));
  });
}
