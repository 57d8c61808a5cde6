import * as tf from '@tensorflow/tfjs-core';
import type {Weight} from '@tfjs-peft/routers';

/** What something is computed of. */
export interface Operands {
  /** Tensors that have gradients. */
  inputs: readonly tf.Tensor[];
  /** Tensors that have none. */
  constants: readonly tf.Tensor[];
  /** The only variables that are read. */
  weights: readonly Weight[];
}

/**
 * Runs something of which the tape keeps nothing but what it takes: for the gradient it is run again (Chen et
 * al. 2016, arXiv 1604.06174).
 *
 * @param run Takes the inputs and the constants, in this order.
 */
export function recomputed<T extends tf.Tensor>(
  run: (given: tf.Tensor[]) => T,
  {inputs, constants, weights}: Operands,
): T {
  const variables = weights.map((weight) => weight.read());
  const op = tf.customGrad((...args) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    const given = [...(args.slice(0, inputs.length) as tf.Tensor[]), ...constants];
    save(given);
    return {
      value: run(given),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        gradients(() => run(saved), [...saved.slice(0, inputs.length), ...variables], dy),
    };
  });
  return op(...inputs, ...variables) as T;
}

/** Gradients within a gradient; zeros for what has no part in the output. */
function gradients(run: () => tf.Tensor, of: readonly tf.Tensor[], dy: tf.Tensor): tf.Tensor[] {
  const engine = tf.engine();
  const {state} = engine;
  // The outer gradient goes back over its tape, which an inner one would put away as its own.
  const tape = state.activeTape;
  try {
    const {grads} = engine.gradients(run, [...of], dy, true);
    return grads.map((grad, i) => grad ?? tf.zerosLike(of[i]!));
  } finally {
    state.activeTape = tape;
  }
}
