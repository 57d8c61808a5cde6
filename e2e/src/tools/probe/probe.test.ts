import '@tensorflow/tfjs-backend-cpu';
// Registers the gradients of tfjs-core's ops.
import '@tensorflow/tfjs-layers';
import * as tf from '@tensorflow/tfjs-core';
import {USE_LITE_WIDTH} from '../../data/models/use-lite.js';
import {random} from '../../data/tasks/random.js';
import {accuracyOf, logitsOf} from './linear.js';
import {type ProbeData, tuneProbe} from './probe.js';

const CLASSES = 3;

/** Unit vectors around a common mean, whose class is the sign pattern of two noisy directions. */
function draw(count: number, seed: number): ProbeData {
  const next = random(seed, 'probe test');
  const vectors = new Float32Array(count * USE_LITE_WIDTH);
  const labels = new Int32Array(count);
  for (let row = 0; row < count; row++) {
    labels[row] = Math.floor(next() * CLASSES);
    const own = vectors.subarray(row * USE_LITE_WIDTH, (row + 1) * USE_LITE_WIDTH);
    for (let i = 0; i < USE_LITE_WIDTH; i++) {
      own[i] = 1 + (next() - 0.5) + (i % CLASSES === labels[row] ? 0.3 * next() : 0);
    }
    const length = Math.hypot(...own);
    own.forEach((value, i) => {
      own[i] = value / length;
    });
  }
  return {vectors, labels};
}

describe('tuneProbe', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });

  it('separates classes that a linear map can separate, on texts that it has not seen', async () => {
    const probe = await tuneProbe(draw(150, 1), draw(90, 2), CLASSES);
    const test = draw(300, 3);
    expect(accuracyOf(logitsOf(probe.head, test.vectors), test.labels, CLASSES)).toBeGreaterThan(0.9);
    expect(probe.validationAccuracy).toBeGreaterThan(0.9);
  });

  it('reaches the optimum: the gradient of the penalised loss is zero there', async () => {
    const train = draw(120, 4);
    const {head, l2} = await tuneProbe(train, draw(60, 5), CLASSES);
    const gradient = tf.tidy(() => {
      const x = tf.mul(
        tf.tensor2d(train.vectors, [120, USE_LITE_WIDTH]),
        Math.sqrt(USE_LITE_WIDTH),
      ) as tf.Tensor2D;
      const y = tf.oneHot(tf.tensor1d(train.labels, 'int32'), CLASSES);
      const loss = (kernel: tf.Tensor, bias: tf.Tensor) =>
        tf.add(
          tf.neg(
            tf.mean(tf.sum(tf.mul(tf.logSoftmax(tf.add(tf.matMul(x, kernel as tf.Tensor2D), bias)), y), 1)),
          ),
          tf.mul(tf.sum(tf.square(kernel)), l2 / 2),
        );
      const kernel = tf.tensor2d(head.kernel, [USE_LITE_WIDTH, CLASSES]);
      return tf
        .grads((k, b) => loss(k!, b!))([kernel, tf.tensor1d(head.bias)])
        .map((g) => tf.max(tf.abs(g)).dataSync()[0]!);
    });
    expect(Math.max(...gradient)).toBeLessThan(2e-3);
  });

  it('leaves no tensors behind', async () => {
    const before = tf.memory().numTensors;
    await tuneProbe(draw(30, 6), draw(15, 7), CLASSES);
    expect(tf.memory().numTensors).toBe(before);
  });
});
