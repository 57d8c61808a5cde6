import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from '../../golden/backend.js';
import type {Side} from '../step.js';
import {ADAPTERS, adapterSide, composedLime, loopSide} from './adapters-cases.js';

const TEXTS = 2;
const countOf = ({trained}: Side) => trained.reduce((sum, {size}) => sum + size, 0);

let ids: tf.Tensor;

beforeAll(async () => {
  await useBackend('wasm');
  ids = tf.randomUniform([TEXTS, 3], 1, 8000, 'int32', 1);
});

test.each(['upgraded', 'stock'] as const)(
  'MoLoRA in a loop, in the %s model, computes what it should',
  async (model) => {
    const loop = await loopSide(model, TEXTS);
    const ours = model === 'upgraded' ? loop : await loopSide('upgraded', TEXTS);
    const [got, want] = [
      loop.forward(ids, true),
      model === 'upgraded' ? loop.without(ids) : ours.forward(ids, false),
    ];
    expect(tf.max(tf.abs(tf.sub(got, want))).dataSync()[0]).toBeLessThan(1e-5);
    expect(loop.trained).toHaveLength(10 * (8 + 8 + 1));
    loop.dispose();
    if (ours !== loop) ours.dispose();
  },
);

test('what each adapter trains at 8 experts and rank 4', async () => {
  const counts: Record<string, number> = {};
  for (const name of Object.keys(ADAPTERS)) {
    const side = await adapterSide(name, TEXTS);
    const before = side.forward(ids, false).dataSync();
    expect(before.every(Number.isFinite)).toBe(true);
    counts[name] = countOf(side);
    side.dispose();
  }
  // Sums over the ten sites of 6,400 input and 8,448 output columns.
  expect(counts).toEqual({
    lora: 59392,
    dora: 67840,
    'lora-fa': 33792,
    ia3: 8448,
    mov: 8 * 14848,
    molora: 526336,
    mor1e: 298004,
    lime: 135434,
  });
  const composed = composedLime();
  expect(countOf(composed)).toBe(counts.lime);
});
