import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {register, unregister} from '../wasm.js';

beforeEach(async () => {
  register();
  await tf.setBackend('wasm');
});
afterAll(unregister);

test('a clone shares its values, and either one outlives the other', () => {
  const before = tf.memory();
  const x = tf.tensor1d([1, 2, 3]);
  const y = tf.clone(x);
  expect(tf.memory().numDataBuffers).toBe(before.numDataBuffers + 1);
  x.dispose();
  expect([...y.dataSync()]).toEqual([1, 2, 3]);
  const z = tf.clone(y);
  z.dispose();
  expect([...y.dataSync()]).toEqual([1, 2, 3]);
  y.dispose();
  expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numDataBuffers: before.numDataBuffers});
});

test('a variable that is assigned leaves its clones alone', () => {
  const variable = tf.variable(tf.tensor1d([1, 2]));
  const clone = tf.clone(variable);
  variable.assign(tf.tensor1d([5, 6]));
  expect([...clone.dataSync()]).toEqual([1, 2]);
  expect([...variable.dataSync()]).toEqual([5, 6]);
  variable.dispose();
});

test('values from another backend are moved, then shared', async () => {
  await tf.setBackend('cpu');
  const x = tf.tensor1d([4, 5]);
  await tf.setBackend('wasm');
  const y = tf.clone(x);
  x.dispose();
  expect([...tf.add(y, 1).dataSync()]).toEqual([5, 6]);
});

test('a reshaped tensor is copied, so that kernels which ask for the shape on file get its own', () => {
  const bias = tf.clone(tf.reshape(tf.tensor3d([1, 2], [1, 1, 2]), [2]));
  const y = tf.fused.conv2d({
    x: tf.ones([1, 1, 1, 1]) as tf.Tensor4D,
    filter: tf.ones([1, 1, 1, 2]) as tf.Tensor4D,
    strides: 1,
    pad: 'same',
    bias: bias as tf.Tensor1D,
  });
  expect([...y.dataSync()]).toEqual([2, 3]);
});

test('strings are shared too', () => {
  const x = tf.tensor1d(['a', 'b']);
  const y = tf.clone(x);
  x.dispose();
  expect(y.dataSync() as unknown).toEqual(['a', 'b']);
});

test('a cast to bool gives 0 and 1, every other cast what it gave', () => {
  const numbers = tf.tensor1d([0, 3, -0.5, 256, Number.NaN]);
  const bool = tf.cast(numbers, 'bool');
  expect(bool.dtype).toBe('bool');
  expect([...bool.dataSync()]).toEqual([0, 1, 1, 1, 1]);
  expect([...tf.cast(tf.tensor1d([256, 0], 'int32'), 'bool').dataSync()]).toEqual([1, 0]);
  expect([...tf.cast(bool, 'float32').dataSync()]).toEqual([0, 1, 1, 1, 1]);
  expect([...tf.cast(numbers, 'int32').dataSync()]).toEqual([0, 3, 0, 256, 0]);
  expect([...tf.cast(numbers, 'float32').dataSync()]).toEqual([...numbers.dataSync()]);
});

test('a gradient through clones and casts leaks nothing under the leak check', () => {
  tf.env().set('IS_TEST', true);
  try {
    const x = tf.tensor2d([1, 2, 3, 4], [2, 2]);
    const gradient = (): tf.Tensor =>
      tf.grad((t: tf.Tensor) => tf.logSoftmax(tf.cast(tf.clone(tf.square(tf.clone(t))), 'float32')))(x);
    gradient().dispose();
    const before = tf.memory();
    for (let n = 0; n < 20; n++) gradient().dispose();
    expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numDataBuffers: before.numDataBuffers});
  } finally {
    tf.env().set('IS_TEST', false);
  }
});

test('unregister puts the stock kernels back', () => {
  unregister();
  const x = tf.tensor1d([1, 2, 3]);
  const before = tf.memory().numDataBuffers;
  const y = tf.clone(x);
  expect(tf.memory().numDataBuffers).toBe(before + 1);
  tf.dispose([x, y]);
});
