import * as tf from '@tensorflow/tfjs-core';

/**
 * Each expert's mean probability, [E], over the rows of `probabilities` [..., E]; over those of `mask` [...] that are 1, where it is
 * given.
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
 * LiME's importance loss, E Σ u² - 1 of the usage u [E]: 0 where all experts are used alike, E - 1 where one is used alone
 * (arXiv 2604.02338, section 3).
 */
export function importanceLoss(usage: tf.Tensor1D): tf.Scalar {
  return tf.tidy(() => tf.sub(tf.mul(usage.shape[0], tf.sum(tf.square(usage))), 1));
}

/** LiME's divergence from uniform usage, Σ u log(E u) of the usage u [E]: 0 where all are used alike, log E where one is alone. */
export function usageDivergence(usage: tf.Tensor1D): tf.Scalar {
  // 0 log 0 is 0, and 1e-30 keeps the logarithm finite there.
  return tf.tidy(() => tf.sum(tf.mul(usage, tf.log(tf.mul(usage.shape[0], tf.maximum(usage, 1e-30))))));
}

/**
 * The load balance loss of the Switch Transformer (arXiv 2101.03961, equation 4) in the form of the released MoV code: the mean over
 * the batch of E Σ_e f_e P_e, with f_e the share of a sequence's tokens that chose expert e, without a gradient, and P_e its mean
 * probability. Uniform routing to k experts gives k.
 *
 * @param probabilities [batch, ..., E]; a rank of 2 counts as one sequence.
 * @param selected 1 where an expert is chosen, else 0, of the same shape.
 * @param mask 1 for a real token, 0 for padding, [batch, ...]: means are over real tokens, and over the sequences that have any.
 * Default: all are real.
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
    // A sequence of padding alone agrees with nothing, and is not counted.
    const counted = tf.maximum(tf.sum(tf.minimum(tokens, 1)), 1);
    return tf.mul(experts, tf.div(tf.sum(agreement), counted)) as tf.Scalar;
  });
}

/**
 * The router z-loss, the mean of logsumexp(logits)² over all rows of [..., E] (ST-MoE, arXiv 2202.08906, equation 5); over those of
 * `mask` [...] that are 1, where it is given.
 */
export function zLoss(logits: tf.Tensor, mask?: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    const squares = tf.reshape(tf.square(tf.logSumExp(logits, -1)), [-1]);
    if (mask === undefined) return tf.mean(squares);
    const rows = tf.reshape(mask, [-1]);
    return tf.div(tf.sum(tf.mul(squares, rows)), tf.maximum(tf.sum(rows), 1));
  });
}
