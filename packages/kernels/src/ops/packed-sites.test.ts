import * as tf from '@tensorflow/tfjs-core';
import {tensorDeviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {
  type CombineInputs,
  ConfigError,
  combine,
  type PackedKernel,
  packMatrix,
  project,
  ShapeError,
  transposePacked,
  unpackMatrix,
} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {packedCase} from '../testing/packed-cases.js';

const [ROWS, D_IN, D_OUT] = [[2, 3], 21, 18];
const random = randomNumbers(7);
const values = (...shape: number[]): tf.Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(Float32Array.from(randomValues(random, size)), shape);
};
const heads = () => ({gates: values(...ROWS, 3, 2), table: values(2, D_IN) as tf.Tensor2D, heads: 3});

/** Adapters over a packed kernel, by the parts that they have. */
const SITES: Record<string, () => CombineInputs> = {
  'the base alone': () => ({}),
  'bias and activation': () => ({bias: values(D_OUT) as tf.Tensor1D, activation: 'gelu'}),
  'a scale of the input': () => ({pre: values(D_IN) as tf.Tensor1D}),
  'a scale of the input by head': () => ({pre: heads()}),
  'all parts': () => ({
    bias: values(D_OUT) as tf.Tensor1D,
    pre: {gates: values(...ROWS, 4), table: values(4, D_IN) as tf.Tensor2D},
    alpha: values(D_OUT) as tf.Tensor1D,
    h: values(...ROWS, 6),
    b: values(6, D_OUT) as tf.Tensor2D,
    gates: values(...ROWS, 3),
    mix: 'expert',
    scale: 0.5,
    beta: values(D_OUT) as tf.Tensor1D,
    offset: values(D_OUT) as tf.Tensor1D,
    activation: 'silu',
    post: values(D_OUT) as tf.Tensor1D,
  }),
};

const KERNELS = TEST_BACKENDS.flatMap((backend) => [
  {backend, of: 'packed', transposed: false},
  {backend, of: 'transposed', transposed: true},
]);

describe.each(KERNELS)('sites with a $of kernel on $backend', ({backend, transposed}) => {
  let packed: PackedKernel;
  let plain: tf.Tensor2D;

  beforeAll(async () => {
    await useBackend(backend);
    const {codes, ...spec} = packedCase({
      ...{name: '', shape: transposed ? [D_OUT, D_IN] : [D_IN, D_OUT], bits: 4, units: {group: 8}},
      ...{scale: 'f16', zeros: true},
    });
    const matrix = packMatrix(codes, spec);
    packed = transposed ? transposePacked(matrix) : matrix;
    plain = tf.tidy(() => tf.keep(tf.transpose(unpackMatrix(matrix), transposed ? [1, 0] : [0, 1])));
  });

  /** The gradients of all tensors among the parts, in order. */
  function gradients(parts: CombineInputs, x: tf.Tensor, kernel: tf.Tensor2D | PackedKernel): tf.Tensor[] {
    const tensors = Object.values(parts).flatMap((part: unknown) =>
      part instanceof tf.Tensor
        ? [part]
        : Object.values(Object(part)).filter((own) => own instanceof tf.Tensor),
    );
    const given: tf.Tensor[] = [x, ...tensors];
    return tf.grads(() => combine({...parts, x, kernel}))(given);
  }

  it.each(Object.keys(SITES))('are those with the plain one, and so are their gradients: %s', (name) => {
    const parts = SITES[name]!();
    const x = values(...ROWS, D_IN);
    const [got, want] = [packed, plain].map((kernel) => combine({...parts, x, kernel}));
    expect(tensorDeviation(got!, want!)).toBeLessThan(1e-5);
    const [own, plainOnes] = [packed, plain].map((kernel) => gradients(parts, x, kernel));
    own!.forEach((gradient, i) => {
      expect(tensorDeviation(gradient, plainOnes![i]!)).toBeLessThan(1e-5);
    });
  });

  it.each([1, 7, D_OUT])('give a router the first %d columns', (columns) => {
    const [x, a] = [values(...ROWS, D_IN), values(D_IN, 4) as tf.Tensor2D];
    const run = (kernel: PackedKernel | tf.Tensor2D, t: tf.Tensor, down: tf.Tensor) => {
      const {h, columns: own} = project({x: t, a: down as tf.Tensor2D, kernel, columns});
      return tf.concat([h, own!], 2);
    };
    expect(tensorDeviation(run(packed, x, a), run(plain, x, a))).toBeLessThan(1e-5);
    const [own, want] = [packed, plain].map((kernel) =>
      tf.grads((t: tf.Tensor, down: tf.Tensor) => run(kernel, t, down))([x, a]),
    );
    expect(tensorDeviation(own![0]!, want![0]!)).toBeLessThan(1e-5);
    expect(tensorDeviation(own![1]!, want![1]!)).toBeLessThan(1e-5);
  });

  it('refuse what does not fit, by its own name', () => {
    const x = values(2, D_IN);
    const kernel = packed;
    expect(() => combine({x: values(2, D_IN + 1), kernel})).toThrow(ShapeError);
    expect(() => combine({x, kernel, pre: values(3) as tf.Tensor1D})).toThrow('the size of pre is 3');
    expect(() => combine({x, kernel, alpha: values(3) as tf.Tensor1D})).toThrow('the size of alpha is 3');
    expect(() => combine({z: values(2, D_OUT), kernel})).toThrow(ConfigError);
    const a = values(D_IN, 4) as tf.Tensor2D;
    expect(() => project({x, a, kernel, columns: D_OUT + 1})).toThrow(ConfigError);
  });
});
