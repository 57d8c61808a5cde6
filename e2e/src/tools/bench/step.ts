import * as tf from '@tensorflow/tfjs-core';

/** A model under measure, and what is trained of it. */
export interface Side {
  forward(input: tf.Tensor, training: boolean): tf.Tensor;
  trained: tf.Variable[];
}

/** One training step on mean((y - target)²) with Adam; it returns the loss. */
export function stepOf(side: Side, input: tf.Tensor, target: tf.Tensor): () => tf.Scalar {
  const optimizer: tf.Optimizer = tf.train.adam(1e-3, 0.9, 0.999, 1e-7);
  return () => {
    const loss = () => tf.mean(tf.square(tf.sub(side.forward(input, true), target))) as tf.Scalar;
    const {value, grads} = tf.variableGrads(loss, side.trained);
    optimizer.applyGradients(grads);
    tf.dispose(grads);
    return value;
  };
}
