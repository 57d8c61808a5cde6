import * as tf from '@tensorflow/tfjs-core';
import {spread} from './strided-slice.js';

/** One spatial axis of a convolution. */
export interface Axis {
  input: number;
  output: number;
  taps: number;
  stride: number;
  dilation: number;
  /** What is padded in front. */
  before: number;
}

/**
 * Places `t` [batch, ..., channels] in a larger range of all spatial axes, starting at `at`; what falls
 * outside is cut off.
 */
export function place(t: tf.Tensor, at: number[], sizes: number[]): tf.Tensor {
  // Stock webgl and webgpu do not pad tensors of rank 5, so there it goes axis by axis.
  if (sizes.length > 2) {
    return sizes.reduce((part, size, i) => {
      const [outer, inner] = [part.shape.slice(0, i + 1), part.shape.slice(i + 2)];
      const rows = tf.reshape(part, [
        tf.util.sizeFromShape(outer),
        part.shape[i + 1]!,
        tf.util.sizeFromShape(inner),
      ]);
      return tf.reshape(place(rows, [at[i]!], [size]), [...outer, size, ...inner]);
    }, t);
  }
  const spatial = (values: number[], edge: number): number[] => [edge, ...values, edge];
  const skipped = at.map((from) => Math.max(0, -from));
  const kept = sizes.map((size, i) =>
    Math.max(0, Math.min(t.shape[i + 1]! - skipped[i]!, size - Math.max(0, at[i]!))),
  );
  const whole = kept.every((size, i) => size === t.shape[i + 1]);
  const part = whole ? t : tf.slice(t, spatial(skipped, 0), [t.shape[0]!, ...kept, t.shape[t.rank - 1]!]);
  const pads = sizes.map((size, i): [number, number] => {
    const before = Math.max(0, at[i]!);
    return [before, size - before - kept[i]!];
  });
  if (pads.every((pad) => pad.every((size) => size === 0))) return part;
  return tf.pad(part, [[0, 0], ...pads, [0, 0]]);
}

/** A gradient with zeros in place of the entries that a stride skips. */
export function unstrided(dy: tf.Tensor, axes: readonly Axis[]): tf.Tensor {
  return axes.reduce((t, {stride, output}, i) => {
    return stride === 1 ? t : spread(t, i + 1, 0, stride, (output - 1) * stride + 1);
  }, dy);
}

/**
 * The gradients of a convolution of any number of spatial axes: x [batch, ..., c], filter [..., c, d], dy
 * [batch, ..., d]. Each tap of the filter is a product of its own with a part of the padded input, and so are
 * its gradients.
 */
export function convolutionByTaps(
  dy: tf.Tensor,
  x: tf.Tensor,
  filter: tf.Tensor,
  axes: readonly Axis[],
): {x: () => tf.Tensor; filter: () => tf.Tensor} {
  const [channels, columns] = filter.shape.slice(-2) as [number, number];
  const taps = axes.reduce<number[][]>(
    (all, axis) => all.flatMap((tap) => Array.from({length: axis.taps}, (_, i) => [...tap, i])),
    [[]],
  );
  const upstream = unstrided(dy, axes);
  const spatial = upstream.shape.slice(1, -1);
  const rows = tf.reshape(upstream, [-1, columns]) as tf.Tensor2D;
  const batch = x.shape[0]!;
  /** Where the output begins to read the input, for one tap. */
  const offsets = (tap: number[]): number[] => axes.map((axis, i) => tap[i]! * axis.dilation - axis.before);
  return {
    x: () => {
      const matrices = tf.reshape(filter, [taps.length, channels, columns]);
      const parts = taps.map((tap, i) => {
        const own = tf.slice(matrices, [i, 0, 0], [1, channels, columns]);
        const weights = tf.reshape(own, [channels, columns]) as tf.Tensor2D;
        const part = tf.reshape(tf.matMul(rows, weights, false, true), [batch, ...spatial, channels]);
        return place(
          part,
          offsets(tap),
          axes.map(({input}) => input),
        );
      });
      return tf.addN(parts);
    },
    filter: () => {
      const parts = taps.map((tap) => {
        const read = place(
          x,
          offsets(tap).map((from) => -from),
          spatial,
        );
        return tf.matMul(tf.reshape(read, [-1, channels]) as tf.Tensor2D, rows, true, false);
      });
      return tf.reshape(tf.stack(parts), filter.shape);
    },
  };
}
