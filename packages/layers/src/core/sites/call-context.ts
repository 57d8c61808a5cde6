import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '@tfjs-peft/kernels';
import type {RouterContext} from '@tfjs-peft/routers';

/**
 * The context of one call at a site whose routers see rows [...]: the one that was set for the model. Its
 * mask has an entry for each row: the mask that was set or, without one, the mask from tfjs-layers, which has
 * the length of the sequence even behind a prompt.
 *
 * @param label What errors call the site.
 * @throws ShapeError if the mask that was set is of another batch or of sequences of another length.
 */
export function contextOf(
  label: () => string,
  rows: number[],
  set: RouterContext | undefined,
  passed: unknown,
): RouterContext | undefined {
  const own = set?.mask && maskOf(set.mask, rows);
  const given = own ?? passedMask(passed, rows);
  if (given !== undefined) return {...set, mask: given};
  if (set?.mask === undefined) return set;
  if (concerns(set.mask, rows)) {
    throw new ShapeError(
      `${label()}: the context's mask has shape [${set.mask.shape}], but the tokens here are [${rows}]. ` +
        'Set a mask of that shape, or [1, …] to share one among all samples.',
    );
  }
  const {mask: _, ...rest} = set;
  return rest;
}

/**
 * A mask as float32 with an entry for each row: as it is, shared by all samples, or flattened like the
 * sequences.
 */
function maskOf(mask: tf.Tensor, rows: number[]): tf.Tensor | undefined {
  const {shape} = mask;
  const float = () => (mask.dtype === 'float32' ? mask : tf.cast(mask, 'float32'));
  if (tf.util.arraysEqual(shape, rows)) return float();
  if (shape.length === rows.length && shape[0] === 1 && tf.util.arraysEqual(shape.slice(1), rows.slice(1)))
    return tf.broadcastTo(float(), rows);
  if (rows.length === 1 && shape.length > 1 && mask.size === rows[0]) return tf.reshape(float(), rows);
  return undefined;
}

/** tfjs-layers passes the mask of a layer's every input, which need not be that of its output. */
function passedMask(passed: unknown, rows: number[]): tf.Tensor | undefined {
  const mask: unknown = Array.isArray(passed) ? passed[0] : passed;
  return mask instanceof tf.Tensor ? maskOf(mask, rows) : undefined;
}

/**
 * Whether a mask that does not fit the rows should have fitted. A mask of tokens says nothing about rows that
 * are whole samples, only the real tokens (as in graphs with ragged inputs), or parts of another input with
 * more axes, such as an image.
 */
function concerns(mask: tf.Tensor, rows: number[]): boolean {
  const {shape} = mask;
  const sameBatch = shape[0] === rows[0] || shape[0] === 1;
  if (rows.length === 1) return !sameBatch && realTokens(mask) !== rows[0];
  return !sameBatch || rows.length === shape.length;
}

const counted = new WeakMap<tf.Tensor, number>();

/** How many tokens are real; read back once for each mask that is set. */
function realTokens(mask: tf.Tensor): number {
  let real = counted.get(mask);
  if (real === undefined) {
    real = [...mask.dataSync()].filter((value) => value !== 0).length;
    counted.set(mask, real);
  }
  return real;
}
