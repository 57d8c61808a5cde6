import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {deviation} from '@tfjs-peft/testing/compare';
import {register, unregister} from '../wasm.js';
import {mergeAxes} from './tile.js';

const CASES: [number[], number[]][] = [
  [[3], [4]],
  [[1], [7]],
  [[5], [1]],
  [
    [2, 3],
    [3, 1],
  ],
  [
    [2, 3],
    [1, 3],
  ],
  [
    [2, 3],
    [2, 5],
  ],
  [
    [4, 5, 1],
    [1, 1, 17],
  ],
  [
    [1, 1, 9],
    [4, 5, 1],
  ],
  [
    [1, 3, 1],
    [2, 1, 5],
  ],
  [
    [2, 1, 3],
    [2, 3, 2],
  ],
  [
    [2, 3, 4, 5],
    [1, 2, 1, 3],
  ],
  [
    [1, 2, 1, 3],
    [5, 1, 4, 2],
  ],
  [
    [2, 2, 2, 2],
    [2, 2, 2, 2],
  ],
  [
    [130, 1],
    [1, 130],
  ],
];

/** tf.tile by its definition: entry (i, j, ...) is x at i mod d0, j mod d1, ... */
function tiled(x: tf.Tensor, reps: number[]): number[] {
  const values = x.dataSync();
  const shape = x.shape.map((size, i) => size * reps[i]!);
  const strides = tf.util.computeStrides(x.shape).concat(1);
  return Array.from({length: tf.util.sizeFromShape(shape)}, (_, flat) => {
    let index = 0;
    for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
      index += ((rest % shape[axis]!) % x.shape[axis]!) * (axis === shape.length - 1 ? 1 : strides[axis]!);
      rest = Math.floor(rest / shape[axis]!);
    }
    return values[index]!;
  });
}

/** The values 0, 1, ... of a dtype. */
function counted(shape: number[], dtype: 'float32' | 'int32' | 'bool'): tf.Tensor {
  const values = Array.from({length: tf.util.sizeFromShape(shape)}, (_, i) =>
    dtype === 'bool' ? i % 3 === 0 : i + 1,
  );
  return tf.tensor(values as number[], shape, dtype);
}

beforeEach(() => register());

describe('tile on wasm', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm');
  });

  test.each(['float32', 'int32', 'bool'] as const)('%s, ranks 1 to 4', (dtype) => {
    for (const [shape, reps] of CASES) {
      const x = counted(shape, dtype);
      const out = tf.tile(x, reps);
      expect(out.dtype).toBe(dtype);
      expect(out.shape).toEqual(shape.map((size, i) => size * reps[i]!));
      expect([...out.dataSync()]).toEqual(tiled(x, reps));
      tf.dispose([x, out]);
    }
  });

  test('ranks beyond what the stock kernel does', () => {
    const x = counted([2, 1, 3, 1, 2, 1, 2], 'float32');
    const reps = [1, 2, 1, 3, 2, 2, 1];
    const out = tf.engine().runKernel('Tile', {x}, {reps}) as tf.Tensor;
    expect([...out.dataSync()]).toEqual(tiled(x, reps));
  });

  test('empty tensors and no repeats', () => {
    expect(tf.tile(tf.zeros([0, 3]), [2, 2]).shape).toEqual([0, 6]);
    expect(tf.tile(tf.zeros([2, 3]), [0, 2]).shape).toEqual([0, 6]);
    expect(
      tf
        .grad((x: tf.Tensor) => tf.tile(x, [0, 2]))(tf.ones([2, 3]))
        .arraySync(),
    ).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  test('leaks nothing, forward and backward', () => {
    const x = tf.ones([4, 5, 1]);
    const grad = tf.grad((t: tf.Tensor) => tf.tile(t, [1, 1, 8]));
    tf.dispose([tf.tile(x, [1, 1, 8]), grad(x)]);
    const {numTensors, numBytes} = tf.memory();
    for (let i = 0; i < 5; i++) tf.dispose([tf.tile(x, [1, 1, 8]), grad(x)]);
    expect(tf.memory()).toMatchObject({numTensors, numBytes});
  });
});

describe.each(['wasm', 'cpu'])("tile's gradient on %s", (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test("agrees with tfjs-core's own", () => {
    for (const [shape, reps] of CASES) {
      const x = counted(shape, 'float32');
      const dy = tf.randomUniform(
        shape.map((size, i) => size * reps[i]!),
        -1,
        1,
        'float32',
        3,
      );
      const gradient = () => tf.grad((t: tf.Tensor) => tf.tile(t, reps))(x, dy);
      const ours = gradient();
      unregister();
      const stock = gradient();
      register();
      expect(ours.shape).toEqual(shape);
      expect(deviation(ours.dataSync(), stock.dataSync())).toBeLessThan(3e-6);
      tf.dispose([x, dy, ours, stock]);
    }
  });

  test('has a gradient of its own', () => {
    const second = tf.grad((x: tf.Tensor) =>
      tf.sum(tf.grad((t: tf.Tensor) => tf.tile(tf.square(t), [2, 3]))(x)),
    );
    expect(second(tf.ones([1, 2])).arraySync()).toEqual([[12, 12]]);
  });
});

test('stock Tile and its gradient come back', async () => {
  await tf.setBackend('wasm');
  const ours = [tf.getKernel('Tile', 'wasm'), tf.getGradient('Tile')];
  unregister();
  const stock = [tf.getKernel('Tile', 'wasm'), tf.getGradient('Tile')];
  expect(stock[0]).not.toBe(ours[0]);
  expect(stock[1]).not.toBe(ours[1]);
  expect([...tf.tile(tf.tensor1d([1, 2]), [2]).dataSync()]).toEqual([1, 2, 1, 2]);
  unregister();
  expect([tf.getKernel('Tile', 'wasm'), tf.getGradient('Tile')]).toEqual(stock);
});

test('mergeAxes keeps only the axes that matter', () => {
  expect(mergeAxes([4, 5, 1], [1, 1, 9])).toEqual([
    {size: 20, repeats: 1},
    {size: 1, repeats: 9},
  ]);
  expect(mergeAxes([1, 1, 9], [4, 5, 1])).toEqual([{size: 9, repeats: 20}]);
  expect(mergeAxes([2, 3, 4], [1, 2, 1])).toEqual([
    {size: 2, repeats: 1},
    {size: 12, repeats: 2},
  ]);
  expect(mergeAxes([], [])).toEqual([{size: 1, repeats: 1}]);
});
