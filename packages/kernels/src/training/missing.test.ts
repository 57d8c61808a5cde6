import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '../gradients.js';
import {deviation} from '@tfjs-peft/testing/compare';
import {register, unregister} from '../wasm-training.js';

type Op = (...inputs: tf.Tensor[]) => tf.Tensor;

const t4 = (t: tf.Tensor): tf.Tensor4D => t as tf.Tensor4D;
const ids = (values: number[]): tf.Tensor1D => tf.tensor1d(values, 'int32');

/** What cannot be trained on stock wasm; the cpu backend's own kernels say what is right. */
const cases: [string, number[][], Op][] = [
  ['gather, the embedding gradient', [[7, 5]], (x) => tf.gather(x!, ids([3, 0, 3, 6]))],
  ['gather along another axis', [[2, 7, 3]], (x) => tf.gather(x!, ids([1, 1, 5]), 1)],
  [
    'conv2d same',
    [
      [2, 7, 6, 3],
      [3, 3, 3, 5],
    ],
    (x, f) => tf.conv2d(t4(x!), t4(f!), 1, 'same'),
  ],
  [
    'conv2d valid with strides',
    [
      [2, 9, 8, 3],
      [3, 2, 3, 4],
    ],
    (x, f) => tf.conv2d(t4(x!), t4(f!), [2, 3], 'valid'),
  ],
  [
    'conv2d 1x1',
    [
      [3, 5, 4, 6],
      [1, 1, 6, 9],
    ],
    (x, f) => tf.conv2d(t4(x!), t4(f!), 1, 'same'),
  ],
  [
    'depthwise',
    [
      [2, 7, 6, 5],
      [3, 3, 5, 1],
    ],
    (x, f) => tf.depthwiseConv2d(t4(x!), t4(f!), 1, 'same'),
  ],
  [
    'depthwise with strides',
    [
      [2, 8, 7, 3],
      [3, 3, 3, 1],
    ],
    (x, f) => tf.depthwiseConv2d(t4(x!), t4(f!), 2, 'same'),
  ],
  [
    'depthwise with a multiplier',
    [
      [1, 6, 6, 3],
      [2, 2, 3, 2],
    ],
    (x, f) => tf.depthwiseConv2d(t4(x!), t4(f!), 1, 'valid'),
  ],
  ['maxPool', [[2, 6, 6, 3]], (x) => tf.maxPool(t4(x!), 2, 2, 'valid')],
  ['maxPool with overlap', [[2, 7, 5, 4]], (x) => tf.maxPool(t4(x!), 3, 2, 'same')],
  [
    'einsum of a weight',
    [
      [2, 3, 4],
      [4, 5],
    ],
    (a, b) => tf.einsum('abc,cd->abd', a!, b!),
  ],
  [
    'einsum of attention',
    [
      [2, 3, 2, 4],
      [2, 5, 2, 4],
    ],
    (a, b) => tf.einsum('bqhd,bkhd->bhqk', a!, b!),
  ],
];

/** Values and gradients, joined, on one backend. */
async function run(backend: string, shapes: number[][], op: Op): Promise<Float32Array> {
  await tf.setBackend(backend);
  const result = tf.tidy(() => {
    const inputs = shapes.map((shape, i) => tf.randomUniform(shape, -1, 1, 'float32', i + 1));
    const y = op(...inputs);
    const direction = tf.randomUniform(y.shape, -1, 1, 'float32', 9);
    const gradients = tf.grads((...list: tf.Tensor[]) => tf.sum(tf.mul(op(...list), direction)))(inputs);
    return tf.concat([y, ...gradients].map((t) => tf.reshape(t, [-1])));
  });
  const values = await result.data<'float32'>();
  result.dispose();
  return values;
}

beforeAll(() => register());

test.each(cases)('%s', async (_, shapes, op) => {
  const want = await run('cpu', shapes, op);
  expect(deviation(await run('wasm', shapes, op), want)).toBeLessThan(1e-5);
});

test('an id outside the segments drops its row, and nothing leaks', async () => {
  await tf.setBackend('wasm');
  const before = tf.memory().numTensors;
  const x = tf.tensor2d([1, 2, 3, 4], [2, 2]);
  const segments = ids([-1, 1]);
  const y = tf.unsortedSegmentSum(x, segments, 3);
  expect([...y.dataSync()]).toEqual([0, 0, 3, 4, 0, 0]);
  tf.dispose([x, segments, y]);
  expect(tf.memory().numTensors).toBe(before);
});

test('NCHW is refused by name', async () => {
  await tf.setBackend('wasm');
  const inputs = {x: tf.zeros([1, 3, 4, 4]), dy: tf.zeros([1, 2, 4, 4])};
  const attrs = {strides: 1, pad: 'same', dataFormat: 'NCHW', filterShape: [3, 3, 3, 2]};
  expect(() => tf.engine().runKernel('Conv2DBackpropFilter', inputs, attrs)).toThrow(/NCHW is not supported/);
});

test('unregister leaves the backend as it was', () => {
  unregister();
  expect(tf.getKernel('UnsortedSegmentSum', 'wasm')).toBeUndefined();
  const stock = tf.getKernel('MaxPoolGrad', 'wasm');
  register();
  expect(tf.getKernel('UnsortedSegmentSum', 'wasm')).toBeDefined();
  expect(tf.getKernel('MaxPoolGrad', 'wasm')).not.toBe(stock);
});

test.each([
  [
    'ij,jk->ik',
    [
      [2, 3],
      [2, 2],
    ],
    /Expected dimension 3 at axis 0 of input shaped \[2,2\]/,
  ],
  ['ij->n', [[2, 3]], /label n not present/],
  ['ii->', [[2, 2]], /not implemented yet/],
  [
    'ij,jk,kl->il',
    [
      [2, 2],
      [2, 2],
      [2, 2],
    ],
    /more than 2 input tensors/,
  ],
  ['', [[2, 2]], /without an arrow/],
] as [string, number[][], RegExp][])(
  "einsum refuses '%s' as the other backends do",
  async (equation, shapes, message) => {
    await tf.setBackend('wasm');
    const inputs = shapes.map((shape) => tf.ones(shape));
    expect(() => tf.einsum(equation, ...inputs)).toThrow(message);
  },
);
