import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs';
import {matrix} from '../testing/double.js';
import {checkIsmoe, type IsmoeConfig} from './config.js';
import {interactionGates} from './gates.js';
import {gatesOf} from './testing/reference.js';

beforeAll(() => tf.setBackend('cpu'));

const normal = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);

function drawn(experts: number, scale = 1) {
  const [x, kernel] = [normal([2, 5, 3], 1) as tf.Tensor3D, normal([3, experts], 2) as tf.Tensor2D];
  const [salient, interaction] = [normal([2, 4], 3), tf.mul(normal([experts, 4], 4), scale)];
  return {x, kernel, salient: salient as tf.Tensor2D, interaction: interaction as tf.Tensor2D};
}

const full = (config: IsmoeConfig) => checkIsmoe('test', config);

test.each(['softmax', 'l2', 'layernorm'] as const)(
  "scores g' sum to 1 if, and only if, those of the backbone do: %s",
  (norm) => {
    // Every expert kept and raw: the gates are g' itself (algorithms' equation 8).
    const inputs = drawn(4);
    const gates = interactionGates(inputs, full({experts: 4, topK: 4, gates: 'raw', norm}));
    const correlation = matrix(
      tf.matMul(inputs.salient, inputs.interaction as tf.Tensor2D, false, true).dataSync(),
      4,
    );
    const sums = tf.sum(gates, -1).arraySync() as number[][];
    for (const [b, row] of correlation.entries()) {
      const powers = row.map(Math.exp);
      const c = {
        softmax: powers.map((power) => power / powers.reduce((p, q) => p + q)),
        l2: row.map((value) => value / Math.hypot(...row)),
        layernorm: row.map(() => 0), // A layer norm's values sum to 0.
      }[norm].reduce((p, q) => p + q);
      for (const sum of sums[b]!) expect(sum).toBeCloseTo((1 + c) / 2, 5);
      expect(Math.abs(c - 1) < 1e-9).toBe(norm === 'softmax');
    }
  },
);

test('literal gates of two kept experts are nearly equal', () => {
  const gates = interactionGates(drawn(4, 0.1), full({experts: 4, topK: 2}));
  const kept = [...gates.dataSync()].filter((gate) => gate !== 0);
  expect(kept).toHaveLength(2 * 5 * 2);
  for (const gate of kept) expect(Math.abs(gate - 0.5)).toBeLessThan(0.13);
});

test('equal scores go to the lower index', () => {
  const {x, salient} = drawn(4);
  const zero = {kernel: tf.zeros([3, 4]) as tf.Tensor2D, interaction: tf.zeros([4, 4]) as tf.Tensor2D};
  const gates = interactionGates({x, salient, ...zero}, full({experts: 4, topK: 2}));
  for (const row of matrix(gates.dataSync(), 4)) expect(row).toEqual([0.5, 0.5, 0, 0]);
});

test('with one expert kept, only raw gates let the router learn', () => {
  const {x, kernel, salient, interaction} = drawn(3);
  const weights = tf.randomNormal([2, 5, 3], 0, 1, 'float32', 9);
  const largest = (gates: 'softmax' | 'renorm' | 'raw') => {
    const loss = (k: tf.Tensor, r: tf.Tensor) =>
      tf.sum(
        tf.mul(
          weights,
          interactionGates(
            {x, salient, kernel: k as tf.Tensor2D, interaction: r as tf.Tensor2D},
            full({experts: 3, topK: 1, gates}),
          ),
        ),
      );
    return tf
      .grads(loss)([kernel, interaction])
      .map((grad) => tf.max(tf.abs(grad)).dataSync()[0]!);
  };
  for (const gates of ['softmax', 'renorm'] as const)
    for (const size of largest(gates)) expect(size).toBeLessThan(1e-7);
  for (const size of largest('raw')) expect(size).toBeGreaterThan(1e-3);
});

test('renormalized with l2, a sum of 0 or less gives literal gates, and a finite gradient', () => {
  const x = tf.zeros([1, 1, 2]) as tf.Tensor3D;
  const inputs = {x, kernel: tf.zeros([2, 4]) as tf.Tensor2D, salient: tf.ones([1, 1]) as tf.Tensor2D};
  // All of a length of -1: g' = (1/4 - 1/2) / 2 each.
  const interaction = tf.mul(tf.ones([4, 1]), -1) as tf.Tensor2D;
  const config = full({experts: 4, topK: 2, gates: 'renorm', norm: 'l2'});
  const run = (r: tf.Tensor) => interactionGates({...inputs, interaction: r as tf.Tensor2D}, config);
  expect([...run(interaction).dataSync()]).toEqual([0.5, 0.5, 0, 0]);
  const gradient = tf.grad((r: tf.Tensor) => tf.sum(tf.square(run(r))))(interaction);
  expect(gradient.dataSync().every(Number.isFinite)).toBe(true);
  // Where the sum is above 0, it is what divides.
  const {gates} = gatesOf(
    [[0, 0]],
    [1],
    (name) => ({router: matrix(new Float32Array(8), 4), interaction: [[2], [1], [-1], [1]]})[name]!,
    config,
  );
  const got = run(tf.tensor2d([[2], [1], [-1], [1]])).dataSync();
  gates[0]!.forEach((gate, e) => {
    expect(got[e]).toBeCloseTo(gate, 6);
  });
});
