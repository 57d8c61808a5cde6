import * as tf from '@tensorflow/tfjs-core';
import {layerNorm, matMul, softmaxGates, topKGates} from '@tfjs-peft/kernels';
import type {FullIsmoeConfig} from './config.js';

/** A sum of kept scores below this is not divided by. */
const LEAST_SUM = 1e-3;

/** What {@link interactionGates} reads. */
export interface GateInputs {
  /** Tokens, [B, T, d]. */
  x: tf.Tensor3D;
  /** The router's linear map, [d, N]. */
  kernel: tf.Tensor2D;
  /** Its bias, [N]. */
  bias?: tf.Tensor1D | undefined;
  /** The backbone's token of each sample, [B, D]. */
  salient?: tf.Tensor2D | undefined;
  /** What meets the token, r [N, D]. */
  interaction?: tf.Tensor2D | undefined;
}

/**
 * The gates of the experts for each token, [B, T, N], at most `topK` of which are not 0 (MP-ISMoE, arXiv
 * 2605.04058, equations 6 to 8). Which experts are kept is a constant of the gradient; of equal scores the
 * lower index wins.
 */
export function interactionGates(inputs: GateInputs, config: FullIsmoeConfig): tf.Tensor3D {
  const {gates, topK} = config;
  return tf.tidy((): tf.Tensor3D => {
    const {salient, interaction} = inputs;
    if (salient === undefined || interaction === undefined) {
      // Equation 6 alone. The softmax of the logits that are kept is the softmax of all, renormalized.
      return topKGates(probabilities(inputs), topK, gates !== 'raw') as tf.Tensor3D;
    }
    const correlation = normalized(matMul(salient, interaction, false, true), config.norm);
    const scores = tf.div(tf.add(probabilities(inputs), tf.expandDims(correlation, 1)), 2);
    if (gates === 'raw') return topKGates(scores, topK) as tf.Tensor3D;
    const literal = () => topKGates(tf.softmax(scores), topK, true);
    if (gates === 'softmax') return literal() as tf.Tensor3D;
    if (config.norm !== 'l2') return topKGates(scores, topK, true) as tf.Tensor3D;
    // The L2 norm leaves negative scores, whose sum may be 0 or less.
    const kept = topKGates(scores, topK);
    const sum = tf.sum(kept, -1, true);
    const divides = isAbove(sum, LEAST_SUM);
    const divided = tf.div(kept, tf.maximum(sum, LEAST_SUM));
    return tf.add(tf.mul(divides, divided), tf.mul(tf.sub(1, divides), literal())) as tf.Tensor3D;
  });
}

function probabilities({x, kernel, bias}: GateInputs): tf.Tensor {
  if (bias === undefined) return softmaxGates(x, kernel);
  const [batch, tokens, width] = x.shape;
  const logits = tf.add(matMul(tf.reshape(x, [batch * tokens, width]), kernel), bias);
  return tf.reshape(tf.softmax(logits), [batch, tokens, kernel.shape[1]]);
}

/** Norm of equation 7. */
function normalized(scores: tf.Tensor, norm: FullIsmoeConfig['norm']): tf.Tensor {
  if (norm === 'softmax') return tf.softmax(scores);
  if (norm === 'layernorm') return layerNorm(scores, undefined, undefined, 1e-5);
  // The least length is below the root: at 0 the root has no gradient.
  const length = tf.sqrt(tf.add(tf.sum(tf.square(scores), -1, true), 1e-24));
  return tf.div(scores, length);
}

/** 1 where a value is above a limit, else 0; a constant of the gradient, as tfjs has none of comparisons. */
function isAbove(values: tf.Tensor, limit: number): tf.Tensor {
  const compared = tf.customGrad((...args) => {
    const [given] = args as [tf.Tensor, tf.GradSaveFunc];
    const value = tf.cast(tf.greater(given, limit), 'float32');
    return {value, gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy)};
  });
  return compared(values);
}
