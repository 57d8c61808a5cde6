import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import type {RouterContext, RouterView} from './router.js';

/** A tensor of the context that a router reads. */
type Key = 'intuition' | 'sentence' | 'task';

/**
 * A tensor of the context, [batch or 1, width].
 *
 * @throws ConfigError if the context lacks it; ShapeError if it has another shape.
 */
export function sampleTensor(
  what: string,
  key: Key,
  width: number,
  {input, context}: RouterView,
): tf.Tensor2D {
  const tensor = (context as RouterContext | undefined)?.[key];
  if (tensor === undefined) {
    throw new ConfigError(
      `${what}: the context of this batch has no ${key}. Set one before the batch: ` +
        `peft.setContext({${key}}).`,
    );
  }
  const batch = input.shape[0]!;
  const rows = tensor.shape[0];
  const fits = tensor.size === rows! * width && (rows === batch || rows === 1);
  if (!fits) {
    throw new ShapeError(
      `${what}: ${key} has shape [${tensor.shape}], but must be [${batch}, ${width}] or [1, ${width}] ` +
        'here. Pass one row per sample.',
    );
  }
  return tf.reshape(tensor.dtype === 'float32' ? tensor : tf.cast(tensor, 'float32'), [rows!, width]);
}

/** `rows` [batch or 1, E] at every position of the input, [..., E]. */
export function atEveryPosition(rows: tf.Tensor2D, input: tf.Tensor): tf.Tensor {
  const lead = input.shape.slice(0, -1);
  const [samples, experts] = rows.shape;
  if (input.rank === 2 && samples === lead[0]) return rows;
  const between = lead.slice(1).map(() => 1);
  return tf.mul(tf.reshape(rows, [samples, ...between, experts]), tf.ones([...lead, 1]));
}
