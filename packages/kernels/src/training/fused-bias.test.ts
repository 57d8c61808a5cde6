import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {deviation} from '@tfjs-peft/testing/compare';
import {register, unregister} from '../wasm-training.js';

beforeEach(async () => {
  register();
  await tf.setBackend('wasm');
});
afterAll(unregister);

const ACTIVATIONS = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu', 'prelu'] as const;
type Activation = (typeof ACTIVATIONS)[number];

const random = (shape: number[], seed: number): tf.Tensor => tf.randomUniform(shape, -2, 2, 'float32', seed);

interface Fused {
  output: number[];
  biases: number[][];
  run: (bias: tf.Tensor, activation: Activation) => tf.Tensor;
  plain: () => tf.Tensor;
}

const prelu = (activation: Activation, channels: number) =>
  activation === 'prelu' ? random([channels], 5) : undefined;

const OPS: Record<string, () => Fused> = {
  conv2d: () => {
    const x = random([2, 5, 4, 3], 1) as tf.Tensor4D;
    const filter = random([2, 2, 3, 6], 2) as tf.Tensor4D;
    return {
      output: [2, 4, 3, 6],
      biases: [[], [1], [1, 1, 6], [1, 1, 1, 6], [2, 4, 3, 6]],
      run: (bias, activation) =>
        tf.fused.conv2d({
          x,
          filter,
          strides: 1,
          pad: 'valid',
          bias,
          activation,
          preluActivationWeights: prelu(activation, 6),
        }),
      plain: () => tf.conv2d(x, filter, 1, 'valid'),
    };
  },
  depthwiseConv2d: () => {
    const x = random([2, 5, 4, 3], 1) as tf.Tensor4D;
    const filter = random([2, 2, 3, 2], 2) as tf.Tensor4D;
    return {
      output: [2, 4, 3, 6],
      biases: [[], [1], [1, 1, 6], [2, 4, 3, 6]],
      run: (bias, activation) =>
        tf.fused.depthwiseConv2d({
          x,
          filter,
          strides: 1,
          pad: 'valid',
          bias,
          activation,
          preluActivationWeights: prelu(activation, 6),
        }),
      plain: () => tf.depthwiseConv2d(x, filter, 1, 'valid'),
    };
  },
  matMul: () => {
    const [a, b] = [random([4, 7], 1), random([7, 6], 2)];
    return {
      output: [4, 6],
      biases: [[], [1], [1, 6], [4, 1], [4, 6]],
      run: (bias, activation) =>
        tf.fused.matMul({a, b, bias, activation, preluActivationWeights: prelu(activation, 6)}),
      plain: () => tf.matMul(a, b),
    };
  },
};

function activate(x: tf.Tensor, activation: Activation): tf.Tensor {
  if (activation === 'linear') return x;
  if (activation === 'prelu') return tf.prelu(x, prelu(activation, 6)!);
  if (activation === 'leakyrelu') return tf.leakyRelu(x, 0.2);
  return {relu: tf.relu, relu6: tf.relu6, elu: tf.elu, sigmoid: tf.sigmoid}[activation](x);
}

describe.each(Object.keys(OPS))('fused %s', (name) => {
  test.each(ACTIVATIONS)('takes every bias that broadcasts, with %s', (activation) => {
    tf.tidy(() => {
      const {biases, output, run, plain} = OPS[name]!();
      for (const shape of biases) {
        const bias = random(shape, 3);
        const got = run(bias, activation);
        expect(got.shape).toEqual(output);
        const want = activate(tf.add(plain(), bias), activation);
        expect(deviation(got.dataSync(), want.dataSync())).toBeLessThan(1e-5);
      }
    });
  });

  test('leaks nothing', () => {
    const {biases, run} = OPS[name]!();
    const bias = random(biases[1]!, 3);
    run(bias, 'relu').dispose();
    const before = tf.memory();
    for (let n = 0; n < 10; n++) run(bias, 'relu').dispose();
    expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numDataBuffers: before.numDataBuffers});
  });
});

test('a vector whose values were made with another rank is a bias as well', () => {
  const bias = tf.reshape(tf.tensor3d([1, 2], [1, 1, 2]), [2]) as tf.Tensor1D;
  const [x, filter] = [tf.ones([1, 1, 1, 1]), tf.ones([1, 1, 1, 2])] as [tf.Tensor4D, tf.Tensor4D];
  const y = tf.fused.conv2d({x, filter, strides: 1, pad: 'same', bias});
  expect([...y.dataSync()]).toEqual([2, 3]);
});
