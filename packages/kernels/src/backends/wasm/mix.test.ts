import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import '../../wasm.js';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {mixReference} from '../../reference/combine.js';
import {matMulReference, matrix} from '../../reference/matrix.js';

const random = randomNumbers(7);
const SHAPES = [
  [1, 1, 1],
  [3, 2, 5],
  [17, 8, 4],
  [130, 3, 1],
  [5, 17, 3],
] as const;

beforeAll(async () => {
  await tf.setBackend('wasm');
});

function make(rows: number, columns: number) {
  const m = matrix(rows, columns, randomValues(random, rows * columns));
  return {m, t: tf.tensor2d(Float32Array.from(m.data), [rows, columns])};
}

describe.each(['expert', 'dense'] as const)('mix %s on wasm', (mix) => {
  test.each(SHAPES)('%d rows, %d experts or ranks, %d wide', (rows, count, width) => {
    const h = make(rows, mix === 'expert' ? count * width : count);
    const gates = make(rows, mix === 'expert' ? count : count * width);
    const out = tf.engine().runKernel('PeftMix', {h: h.t, gates: gates.t}, {mix}) as tf.Tensor2D;
    const want = mixReference(h.m, gates.m, mix);
    expect(out.shape).toEqual([want.rows, want.columns]);
    expect(deviation(out.dataSync(), want.data)).toBeLessThan(1e-6);

    // mix is linear in each argument, so its gradients are sums of its values at unit arguments.
    const d = make(rows, want.columns);
    const [dh, dGates] = tf
      .engine()
      .runKernel('PeftMixGrad', {dhm: d.t, h: h.t, gates: gates.t}, {mix}) as unknown as tf.Tensor[];
    for (const [got, argument, at] of [
      [dh!, h, 0],
      [dGates!, gates, 1],
    ] as const) {
      const expected = Array.from({length: argument.m.data.length}, (_, i) => {
        const unit = matrix(argument.m.rows, argument.m.columns, new Float64Array(argument.m.data.length));
        unit.data[i] = 1;
        const moved = at === 0 ? mixReference(unit, gates.m, mix) : mixReference(h.m, unit, mix);
        return moved.data.reduce((sum, value, j) => sum + value * d.m.data[j]!, 0);
      });
      expect(got.shape).toEqual([argument.m.rows, argument.m.columns]);
      expect(deviation(got.dataSync(), expected)).toBeLessThan(2e-6);
    }
    tf.dispose([h.t, gates.t, out, d.t, dh!, dGates!]);
  });
});

test.each([1, 3, 5, 17, 130])('project: h, and the leading columns of x W, for %d rows', (rows) => {
  for (const [dIn, rank, dOut, columns] of [
    [17, 3, 130, 5],
    [130, 32, 17, 17],
    [5, 1, 9, 1],
    [3, 8, 8, 8],
  ] as const) {
    const [x, a, kernel] = [make(rows, dIn), make(dIn, rank), make(dIn, dOut)];
    const inputs = {x: x.t, a: a.t, kernel: kernel.t};
    const [h, taken] = tf.engine().runKernel('PeftProject', inputs, {columns}) as unknown as [
      tf.Tensor,
      tf.Tensor,
    ];
    expect(deviation(h.dataSync(), matMulReference(x.m, a.m).data)).toBeLessThan(2e-6);
    const full = matMulReference(x.m, kernel.m);
    const head = Float64Array.from(
      {length: rows * columns},
      (_, i) => full.data[Math.floor(i / columns) * dOut + (i % columns)]!,
    );
    expect(taken.shape).toEqual([rows, columns]);
    expect(deviation(taken.dataSync(), head)).toBeLessThan(2e-6);
    tf.dispose([x.t, a.t, kernel.t, h, taken]);
  }
});
