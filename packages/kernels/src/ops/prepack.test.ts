import * as tf from '@tensorflow/tfjs-core';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {
  ConfigError,
  combine,
  packedBytes,
  packedMatMul,
  prepack,
  project,
  readPacked,
  readsPanels,
  ShapeError,
  transposePacked,
  unpackMatrix,
  unpackRows,
} from '../index.js';
import {isPackedKernel} from '../packed/matrix.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';

const random = randomNumbers(5);
const numbers = (...shape: number[]): tf.Tensor =>
  tf.tensor(Float32Array.from(randomValues(random, tf.util.sizeFromShape(shape))), shape);

describe.each(TEST_BACKENDS)('a prepacked kernel on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([
    [1, 1],
    [21, 18],
    [16, 32],
    [33, 130],
    [0, 4],
  ])('gives back its numbers to the bit: %d x %d', async (rows, columns) => {
    const kernel = numbers(rows, columns) as tf.Tensor2D;
    if (kernel.size > 1) (await kernel.data()).set([-0, 1e-42]);
    const packed = prepack(kernel);
    expect(packedBytes(packed)).toBe(rows * Math.ceil(columns / 16) * 64);
    const bits = async (t: tf.Tensor) => [...new Uint32Array((await t.data<'float32'>()).slice().buffer)];
    expect(await bits(unpackMatrix(packed))).toEqual(await bits(kernel));
    if (rows < 3) return;
    const indices = tf.tensor1d([rows - 1, 0, 2], 'int32');
    expect(await bits(unpackRows(packed, indices))).toEqual(await bits(tf.gather(kernel, indices)));
  });

  it('takes the place of the plain one in combine and project, transposed too', async () => {
    const [x, kernel, a, b, bias] = [[7, 21], [21, 37], [21, 4], [4, 37], [37]].map((s) => numbers(...s));
    const plain = kernel as tf.Tensor2D;
    const parts = {x: x!, bias: bias as tf.Tensor1D, b: b as tf.Tensor2D, activation: 'relu' as const};
    const site = (k: tf.Tensor2D | ReturnType<typeof prepack>) => {
      const {h, columns} = project({x: x!, a: a as tf.Tensor2D, kernel: k, columns: 3});
      return tf.concat([combine({...parts, kernel: k, h, pre: tf.ones([21]) as tf.Tensor1D}), columns!], 1);
    };
    const off = (got: tf.Tensor, want: tf.Tensor) => tf.max(tf.abs(tf.sub(got, want))).dataSync()[0];
    expect(off(site(prepack(plain)), site(plain))).toBeLessThan(1e-5);
    const turned = transposePacked(prepack(tf.transpose(plain)));
    expect(isPackedKernel(turned)).toBe(true);
    const first = project({x: x!, a: a as tf.Tensor2D, kernel: turned, columns: 3}).columns!;
    expect(off(first, tf.slice(tf.matMul(x!, plain), [0, 0], [7, 3]))).toBeLessThan(1e-5);
  });

  it('is no file of codes, and no kernel of another rank', async () => {
    const packed = prepack(tf.ones([3, 2]));
    await expect(readPacked(packed)).rejects.toThrow(ConfigError);
    expect(() => prepack(tf.ones([3]) as tf.Tensor as tf.Tensor2D)).toThrow(ShapeError);
    expect(readsPanels()).toBe(backend === 'wasm');
  });

  it('leaves nothing behind', () => {
    const [x, kernel] = [tf.ones([5, 3]), tf.ones([3, 20]) as tf.Tensor2D];
    const before = tf.memory().numTensors;
    const packed = prepack(kernel);
    expect(tf.memory().numTensors).toBe(before + 1);
    tf.dispose(packedMatMul(x, packed, {bias: tf.zeros([20])}));
    tf.dispose(tf.grad((t) => packedMatMul(t, packed))(x));
    tf.dispose([unpackMatrix(packed), unpackRows(packed, tf.tensor1d([2], 'int32'))]);
    // The bias and the indices are the caller's.
    expect(tf.memory().numTensors).toBe(before + 3);
  });
});

test('what was packed on wasm is read on cpu', async () => {
  await useBackend('wasm');
  const [x, kernel] = [numbers(3, 5), numbers(5, 18) as tf.Tensor2D];
  const packed = prepack(kernel);
  const want = await packedMatMul(x, packed).data();
  await useBackend('cpu');
  const got = await packedMatMul(x, packed).data();
  expect(Math.max(...got.map((value, i) => Math.abs(value - want[i]!)))).toBeLessThan(1e-5);
});
