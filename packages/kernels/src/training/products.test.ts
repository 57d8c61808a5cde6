import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {deviation} from '@tfjs-peft/testing/compare';
import * as wasm from '../wasm.js';
import {register, unregister} from '../wasm-training.js';

beforeEach(async () => {
  register();
  await tf.setBackend('wasm');
});

const SHAPES: [number[], number[]][] = [
  [
    [5, 7],
    [7, 9],
  ],
  [
    [3, 5, 7],
    [7, 9],
  ],
  [
    [3, 5, 7],
    [3, 7, 9],
  ],
  [
    [2, 3, 5, 7],
    [2, 3, 7, 9],
  ],
  [
    [2, 3, 5, 7],
    [7, 9],
  ],
  [
    [2, 3, 5, 7],
    [1, 1, 7, 9],
  ],
  [
    [1, 5, 7],
    [4, 7, 9],
  ],
  [
    [2, 1, 5, 7],
    [1, 3, 7, 9],
  ],
  [
    [2, 1, 5, 7],
    [3, 7, 9],
  ],
  [
    [1, 7],
    [7, 130],
  ],
  [
    [130, 17],
    [17, 1],
  ],
];

function swap(shape: number[]): number[] {
  return [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
}

function operands(
  [a, b]: [number[], number[]],
  transposeA: boolean,
  transposeB: boolean,
): [tf.Tensor, tf.Tensor] {
  return [
    tf.randomUniform(transposeA ? swap(a) : a, -1, 1, 'float32', 1),
    tf.randomUniform(transposeB ? swap(b) : b, -1, 1, 'float32', 2),
  ];
}

/** The same on the cpu backend, whose kernels are tfjs's own. */
async function onCpu(run: () => tf.Tensor): Promise<Float32Array> {
  await tf.setBackend('cpu');
  const values = tf.tidy(() => run().dataSync().slice()) as Float32Array;
  await tf.setBackend('wasm');
  return values;
}

test.each([
  [false, false],
  [false, true],
  [true, false],
  [true, true],
])(
  'batched products of every rank and broadcast, transposeA=%s, transposeB=%s',
  async (transposeA, transposeB) => {
    for (const shapes of SHAPES) {
      const run = () => tf.matMul(...operands(shapes, transposeA, transposeB), transposeA, transposeB);
      const ours = run();
      const outer = tf.backend_util.assertAndGetBroadcastShape(
        shapes[0].slice(0, -2),
        shapes[1].slice(0, -2),
      );
      expect(ours.shape).toEqual([...outer, shapes[0].at(-2)!, shapes[1].at(-1)!]);
      // tfjs's own kernels do not broadcast in both directions at once, so its cpu gets operands that need
      // none.
      const want = await onCpu(() => {
        const [a, b] = operands(shapes, transposeA, transposeB);
        const full = (t: tf.Tensor) => tf.broadcastTo(t, [...outer, ...t.shape.slice(-2)]);
        return tf.matMul(full(a), full(b), transposeA, transposeB);
      });
      expect(deviation(ours.dataSync(), want)).toBeLessThan(3e-6);
    }
  },
);

const ACTIVATIONS = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu', 'prelu'] as const;

test.each(ACTIVATIONS)('fused with bias and %s', async (activation) => {
  for (const [shapes, transposeA, transposeB] of [
    [
      [
        [5, 7],
        [7, 9],
      ],
      false,
      false,
    ],
    [
      [
        [5, 7],
        [7, 9],
      ],
      true,
      true,
    ],
    [
      [
        [3, 5, 7],
        [7, 17],
      ],
      false,
      false,
    ],
    [
      [
        [3, 5, 7],
        [3, 7, 9],
      ],
      false,
      true,
    ],
  ] as [[number[], number[]], boolean, boolean][]) {
    const columns = shapes[1].at(-1)!;
    for (const withBias of [true, false]) {
      const run = () => {
        const [a, b] = operands(shapes, transposeA, transposeB);
        const bias = withBias ? tf.randomUniform([columns], -1, 1, 'float32', 5) : undefined;
        const preluActivationWeights = activation === 'prelu' ? tf.fill([1], 0.3) : undefined;
        return tf.fused.matMul({
          a,
          b,
          transposeA,
          transposeB,
          bias,
          activation,
          preluActivationWeights,
          leakyreluAlpha: 0.1,
        });
      };
      const ours = run();
      const want = await onCpu(run);
      expect(deviation(ours.dataSync(), want)).toBeLessThan(3e-6);
    }
  }
});

test('a dense layer on wasm trains as on cpu, and so does attention', async () => {
  const gradients = () =>
    tf.tidy(() => {
      const x = tf.randomUniform([4, 6, 8], -1, 1, 'float32', 1);
      const w = tf.randomUniform([8, 8], -1, 1, 'float32', 2);
      const {grads} = tf.valueAndGrads((x: tf.Tensor, w: tf.Tensor) => {
        const q = tf.matMul(x, tf.tile(tf.reshape(w, [1, 8, 8]), [4, 1, 1]));
        const p = tf.softmax(tf.matMul(q, x, false, true));
        return tf.sum(tf.square(tf.matMul(p, q))) as tf.Scalar;
      })([x, w]) as {grads: tf.Tensor[]};
      return tf.concat(grads.map((g) => tf.reshape(g, [-1])));
    });
  const ours = gradients();
  expect(deviation(ours.dataSync(), await onCpu(gradients))).toBeLessThan(1e-5);
});

test('products of other dtypes and shapes are left to the stock kernels, errors included', () => {
  const bool = tf.ones([2, 2], 'bool');
  const run = () =>
    tf.engine().runKernel('BatchMatMul', {a: bool, b: bool}, {transposeA: false, transposeB: false});
  expect(run).toThrow(/float32/);
  const fused = () =>
    tf
      .engine()
      .runKernel(
        '_FusedMatMul',
        {a: tf.ones([1, 2, 2]), b: tf.ones([1, 2, 2])},
        {transposeA: false, transposeB: false, activation: 'nonsense'},
      );
  expect(fused).toThrow(/nonsense/);
});

test('the stock kernels come back, and ours again, without a word', () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
  const kernels = () =>
    ['BatchMatMul', '_FusedMatMul', 'Tile'].map((name) => tf.getKernel(name, 'wasm').kernelFunc);
  const ours = kernels();
  register();
  expect(kernels()).toEqual(ours);
  unregister();
  const stock = kernels();
  stock.forEach((kernel, i) => {
    expect(kernel).not.toBe(ours[i]);
  });
  expect(tf.matMul(tf.ones([2, 3]), tf.ones([3, 1])).dataSync()).toEqual(Float32Array.of(3, 3));
  unregister();
  expect(kernels()).toEqual(stock);
  register();
  expect(tf.matMul(tf.ones([2, 3]), tf.ones([3, 1])).dataSync()).toEqual(Float32Array.of(3, 3));
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

test('ours run again once tfjs and its backend, imported later, have registered their own', async () => {
  const kernel = () => tf.getKernel('BatchMatMul', 'wasm');
  const [ours, ourGradient] = [kernel().kernelFunc, tf.getGradient('Tile')];
  unregister();
  wasm.unregister();
  const [stock, stockGradient] = [kernel(), tf.getGradient('Tile')];
  register();
  // What importing them after us does.
  tf.unregisterKernel('BatchMatMul', 'wasm');
  tf.registerKernel(stock);
  tf.registerGradient(stockGradient);
  const factory = tf.findBackendFactory('wasm');
  tf.removeBackend('wasm');
  tf.registerBackend('wasm', factory);
  await tf.setBackend('wasm');
  expect(kernel().kernelFunc).not.toBe(stock.kernelFunc);
  expect(ours).not.toBe(stock.kernelFunc);
  tf.dispose(tf.tile(tf.ones([2]), [2]));
  expect(tf.getGradient('Tile')).toBe(ourGradient);
  unregister();
  expect(kernel()).toBe(stock);
  expect(tf.getGradient('Tile')).toBe(stockGradient);
  wasm.register();
});

test.each([
  [false, false],
  [true, true],
])('a product of integers is one of integers (transposed: %s, %s)', (transposeA, transposeB) => {
  const a = tf.tensor2d([1, -2, 3, 4, 5, 600], transposeA ? [3, 2] : [2, 3], 'int32');
  const b = tf.tensor2d([7, 8, 9, 10, -11, 1200], transposeB ? [2, 3] : [3, 2], 'int32');
  const before = tf.memory().numDataBuffers;
  const y = tf.matMul(a, b, transposeA, transposeB);
  expect(y.dtype).toBe('int32');
  expect(tf.memory().numDataBuffers).toBe(before + 1);
  const rows = (t: tf.Tensor2D, flip: boolean): number[][] => (flip ? tf.transpose(t) : t).arraySync();
  const [left, right] = [rows(a, transposeA), rows(b, transposeB)];
  const want = left.map((row) =>
    right[0]!.map((_, j) => row.reduce((sum, v, k) => sum + v * right[k]![j]!, 0)),
  );
  expect(y.arraySync()).toEqual(want);
});
