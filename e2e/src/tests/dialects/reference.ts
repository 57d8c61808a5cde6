import * as tf from '@tensorflow/tfjs-core';
import {type Dense, type EncoderSize, encoderWeights, type Norm, type Values} from './encoder-weights.js';

/**
 * The encoder in plain tfjs, from its equations: what every dialect must compute. Returns the
 * mean of the tokens that are kept.
 */
export function referenceMean(
  size: EncoderSize,
  seed: number,
  ids: tf.Tensor2D,
  mask: tf.Tensor2D,
  types: tf.Tensor2D,
): tf.Tensor2D {
  const weights = encoderWeights(size, seed);
  const tensor = ({shape, values}: Values) => tf.tensor(values, shape);
  const [batch, steps] = ids.shape;
  const width = size.hidden / size.heads;
  const dense = (x: tf.Tensor, {kernel, bias}: Dense) =>
    tf
      .matMul(x.reshape([batch * steps, -1]) as tf.Tensor2D, tensor(kernel) as tf.Tensor2D)
      .add(tensor(bias))
      .reshape([batch, steps, -1]);
  const norm = (x: tf.Tensor, {gamma, beta}: Norm) => {
    const {mean, variance} = tf.moments(x, -1, true);
    return x.sub(mean).div(variance.sqrt()).mul(tensor(gamma)).add(tensor(beta));
  };
  const heads = (x: tf.Tensor) => x.reshape([batch, steps, size.heads, width]).transpose([0, 2, 1, 3]);
  const floats = tf.cast(mask, 'float32');
  const additive = floats.sub(1).mul(10000).reshape([batch, 1, 1, steps]);

  const places = tf.gather(tensor(weights.positions), tf.range(0, steps, 1, 'int32'));
  let x = tf
    .gather(tensor(weights.words), ids)
    .add(places)
    .add(tf.gather(tensor(weights.types), types));
  x = norm(x, weights.norm);
  for (const layer of weights.layers) {
    const [q, k, v] = [layer.query, layer.key, layer.value].map((part) => heads(dense(x, part))) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    const scores = tf.matMul(q, k, false, true).div(Math.sqrt(width)).add(additive);
    const mixed = tf
      .matMul(tf.softmax(scores), v)
      .transpose([0, 2, 1, 3])
      .reshape([batch, steps, size.hidden]);
    x = norm(dense(mixed, layer.attentionOutput).add(x), layer.attentionNorm);
    const wide = dense(x, layer.intermediate);
    const active = wide.mul(0.5).mul(wide.div(Math.SQRT2).erf().add(1));
    x = norm(dense(active, layer.output).add(x), layer.outputNorm);
  }
  const kept = floats.expandDims(-1);
  return x.mul(kept).sum(1).div(kept.sum(1)) as tf.Tensor2D;
}
