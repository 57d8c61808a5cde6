import * as tf from '@tensorflow/tfjs-core';
import {streamGates} from '@tfjs-peft/kernels';
import {NORM_FLOOR, type Normalizer, normalizeStream} from './normalize.js';
import {type SelectionOptions, select} from './selection.js';

interface DecisionOptions extends SelectionOptions {
  temperature: number;
  gamma: number;
  normalizer: Normalizer;
}

interface Decision {
  p: tf.Tensor;
  gates: tf.Tensor;
  selected?: tf.Tensor;
}

/**
 * The probabilities and gates of the frozen and the adapter's stream, [..., E]. What the paper describes is
 * one op; other normalisers and selections, and logits times `noise`, are composed.
 */
export function decide(
  frozen: tf.Tensor,
  adapted: tf.Tensor,
  options: DecisionOptions,
  noise?: tf.Tensor,
): Decision {
  const {selection, theta, maxActive, gamma, temperature, normalizer} = options;
  const weights: [number, number] = [(1 - gamma) / temperature, gamma / temperature];
  const experts = frozen.shape[frozen.rank - 1]!;
  const unlimited = maxActive === undefined || maxActive >= experts;
  const fused = selection === 'all' || (selection === 'auto' && unlimited);
  if (fused && normalizer === 'token' && noise === undefined) {
    // A prompt's own stream is one for all samples.
    const shared = !tf.util.arraysEqual(adapted.shape, frozen.shape);
    const own = shared ? tf.broadcastTo(adapted, frozen.shape) : adapted;
    const {probabilities, gates} = streamGates(frozen, own, {
      weights,
      theta: selection === 'all' ? null : theta,
      floor: NORM_FLOOR,
    });
    return {p: probabilities, gates};
  }
  const [left, right] = [frozen, adapted].map((stream, i) =>
    tf.mul(normalizeStream(stream, normalizer), weights[i]!),
  );
  const logits = tf.add(left!, right!);
  const p = tf.softmax(noise === undefined ? logits : tf.mul(logits, noise));
  return {p, ...select(p, options)};
}
