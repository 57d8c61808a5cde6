import * as tf from '@tensorflow/tfjs-core';

/**
 * The gradient of a resampling, which is a product with a matrix for the rows and one for the columns of each image.
 *
 * @param dy [batch, rows, columns, channels].
 * @param ofRows what each row takes of the input's, [batch, rows, height].
 * @param ofColumns the same for columns, [batch, columns, width].
 * @returns [batch, height, width, channels].
 */
export function resampleGradient(dy: tf.Tensor, ofRows: tf.Tensor3D, ofColumns: tf.Tensor3D): tf.Tensor4D {
  const [batch, rows, columns, channels] = dy.shape as [number, number, number, number];
  const height = ofRows.shape[2];
  const width = ofColumns.shape[2];
  const overRows = tf.matMul(ofRows, tf.reshape(dy, [batch, rows, columns * channels]), true);
  const lines = tf.transpose(tf.reshape(overRows, [batch, height, columns, channels]), [0, 2, 1, 3]);
  const overColumns = tf.matMul(ofColumns, tf.reshape(lines, [batch, columns, height * channels]), true);
  return tf.transpose(tf.reshape(overColumns, [batch, width, height, channels]), [0, 2, 1, 3]) as tf.Tensor4D;
}
