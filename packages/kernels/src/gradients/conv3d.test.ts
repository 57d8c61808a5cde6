import {dawnMissing} from '@tfjs-peft/testing/install-dawn';

import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {watchGpu} from '@tfjs-peft/testing/dawn';
import {register, unregister} from '../gradients.js';

type Size3 = [number, number, number];
type Loss = (x: tf.Tensor, filter: tf.Tensor) => tf.Scalar;

const square = (y: tf.Tensor): tf.Scalar => tf.sum(tf.square(y));

const convolution =
  (strides: Size3, pad: 'same' | 'valid', dilations: Size3): Loss =>
  (x, filter) =>
    square(tf.conv3d(x as tf.Tensor5D, filter as tf.Tensor5D, strides, pad, 'NDHWC', dilations));

const CASES: [string, Loss][] = [
  ['valid', convolution([1, 1, 1], 'valid', [1, 1, 1])],
  ['same, strides', convolution([2, 1, 2], 'same', [1, 1, 1])],
  ['valid, dilations', convolution([1, 1, 1], 'valid', [1, 2, 1])],
];

/** Odd sizes, and the same values each time. */
function gradients(loss: Loss): tf.Tensor[] {
  const x = tf.randomNormal([2, 3, 6, 3, 3], 0, 1, 'float32', 1);
  const filter = tf.randomNormal([2, 2, 1, 3, 5], 0, 1, 'float32', 2);
  return tf.grads((a: tf.Tensor, b: tf.Tensor) => loss(a, b))([x, filter]);
}

if (dawnMissing !== undefined) {
  test.skip(`gradients of Conv3D on webgpu: ${dawnMissing}`, () => {});
} else {
  describe('the gradients of Conv3D on webgpu are those of cpu', () => {
    let errors: string[];
    beforeAll(async () => {
      register();
      await tf.setBackend('webgpu');
      await tf.ready();
      errors = watchGpu();
    });
    afterAll(unregister);

    test.each(CASES)('%s', async (_, loss) => {
      await tf.setBackend('cpu');
      const wanted = await Promise.all(gradients(loss).map((gradient) => gradient.array()));
      await tf.setBackend('webgpu');
      const got = gradients(loss);
      for (const [i, gradient] of got.entries()) {
        const worst = tf.max(tf.abs(tf.sub(gradient, tf.tensor(wanted[i]!))));
        expect((await worst.data())[0]).toBeLessThan(1e-3);
      }
      expect(errors).toEqual([]);
    });
  });
}
