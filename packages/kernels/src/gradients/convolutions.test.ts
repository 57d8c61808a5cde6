import '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs-core';
import {register} from '../gradients.js';

/** The same convolution by a filter whose gaps are filled with zeros, of which stock tfjs has a gradient. */
function withGaps(filter: tf.Tensor4D, dilation: number): tf.Tensor4D {
  const [height, width] = filter.shape;
  const rows = Array.from({length: height}, (_, i) => {
    const row = Array.from({length: width}, (_, j) => {
      const tap = tf.slice(filter, [i, j], [1, 1]);
      return j === width - 1
        ? tap
        : tf.pad(tap, [
            [0, 0],
            [0, dilation - 1],
            [0, 0],
            [0, 0],
          ]);
    });
    const joined = tf.concat(row, 1);
    return i === height - 1
      ? joined
      : tf.pad(joined, [
          [0, dilation - 1],
          [0, 0],
          [0, 0],
          [0, 0],
        ]);
  });
  return tf.concat(rows, 0) as tf.Tensor4D;
}

describe('the gradient of a dilated Conv2D', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
    register();
    // Again: nothing is wrapped twice.
    register();
  });

  it.each([
    {pad: 'same', dilation: 2, size: [7, 6], taps: [3, 3]},
    {pad: 'valid', dilation: 2, size: [8, 7], taps: [3, 2]},
    {pad: 'valid', dilation: 3, size: [9, 9], taps: [2, 3]},
    {pad: 'same', dilation: 3, size: [5, 4], taps: [3, 3]},
    {pad: 'same', dilation: 1, size: [5, 5], taps: [3, 3]},
  ] as const)('is that of a filter with zeros in its gaps: %j', async ({pad, dilation, size, taps}) => {
    const x = tf.randomNormal([2, ...size, 3], 0, 1, 'float32', 1) as tf.Tensor4D;
    const filter = tf.randomNormal([...taps, 3, 4], 0, 1, 'float32', 2) as tf.Tensor4D;
    const loss = (y: tf.Tensor) => tf.sum(tf.mul(y, tf.sin(y))) as tf.Scalar;
    const ours = tf.grads((a: tf.Tensor, w: tf.Tensor) =>
      loss(tf.conv2d(a as tf.Tensor4D, w as tf.Tensor4D, 1, pad, 'NHWC', dilation)),
    )([x, filter]);
    const wanted = tf.grads((a: tf.Tensor, w: tf.Tensor) =>
      loss(tf.conv2d(a as tf.Tensor4D, withGaps(w as tf.Tensor4D, dilation), 1, pad)),
    )([x, filter]);
    for (const [i, own] of ours.entries()) {
      expect(own.shape).toEqual(wanted[i]!.shape);
      const [worst] = await tf.max(tf.abs(tf.sub(own, wanted[i]!))).data();
      expect(worst).toBeLessThan(1e-4);
    }
  });
});
