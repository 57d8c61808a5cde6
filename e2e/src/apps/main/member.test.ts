import * as tf from '@tensorflow/tfjs-core';
import type {AdapterConfig} from '@tfjs-peft/layers';
import {USE_LITE_WIDTH} from '../../data/models/use-lite.js';
import {random} from '../../data/tasks/random.js';
import {groupedFormat} from '../../tools/formats.js';
import {useBackend} from '../common/backend.js';
import type {TextContext} from './corpus.js';
import {loadEncoder} from './encoders/load.js';
import {Member, type TrainingPart} from './member.js';

const CLASSES = [3, 2];
const adapter = {type: 'molora', experts: 2, rank: 2, alpha: 8} as const;

const distance = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe('Member', () => {
  let member: Member;
  const next = random(1, 'member test');
  const texts = Array.from({length: 6}, (_, i) =>
    Int32Array.from({length: 3 + i}, () => 6 + Math.floor(next() * 7000)),
  );
  const heads = CLASSES.map((classes) => ({
    kernel: Float32Array.from({length: USE_LITE_WIDTH * classes}, () => 0.2 * (next() - 0.5)),
    bias: new Float32Array(classes),
  }));
  const part = (from: number, to: number): TrainingPart => ({
    tokens: texts.slice(from, to),
    length: 8,
    heads: [0, 0, 0, 0, 1, 1].slice(from, to),
    labels: [0, 1, 2, 1, 1, 0].slice(from, to),
    count: 6,
    seed: 1,
  });

  beforeAll(async () => {
    await useBackend('wasm');
    member = new Member(await loadEncoder({model: 'use-lite'}));
  });

  it('gives parts of a batch gradients that add up to those of the whole', async () => {
    const starts = await member.adapt(adapter, 3, heads);
    // B starts as zeros, which hides the gradient of A.
    await member.assign(starts.map(({values}) => values.map((value) => value + 0.01 * (next() - 0.5))));
    const whole = await member.gradients(part(0, 6));
    const [first, second] = [await member.gradients(part(0, 3)), await member.gradients(part(3, 6))];
    expect(first.loss + second.loss).toBeCloseTo(whole.loss, 5);
    expect(first.gradients.at(-1)).toBeUndefined();
    whole.gradients.forEach((gradient, i) => {
      const most = gradient!.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      expect(most).toBeGreaterThan(0);
      gradient!.forEach((value, k) => {
        const parts = (first.gradients[i]?.[k] ?? 0) + (second.gradients[i]?.[k] ?? 0);
        if (Math.abs(parts - value) > 1e-4 * most)
          throw new Error(`parameter ${i}, entry ${k}: ${parts} is not ${value}`);
      });
    });
    await member.release();
  });

  it('is the frozen encoder again after its release, and leaves no tensors behind', async () => {
    const batch = {tokens: texts, length: 8};
    const before = await member.encode(batch);
    const tensors = tf.memory().numTensors;
    const starts = await member.adapt(adapter, 3, heads);
    expect(starts).toHaveLength(10 * 3 + 2 * CLASSES.length);
    await member.assign(starts.map(({values}) => values.map((value) => value + 0.1)));
    const during = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) await member.gradients(part(0, 6));
    expect(tf.memory().numTensors).toBe(during);
    expect(await member.encode(batch)).not.toEqual(before);
    await member.release();
    expect(await member.encode(batch)).toEqual(before);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  it('holds a side network beside a quantised base, whose vectors do not see how far texts are padded', async () => {
    const quantization = {
      format: groupedFormat('int4'),
      quantizer: {type: 'nearest'},
      embedding: true,
    } as const;
    const packed = new Member(await loadEncoder({model: 'use-lite', quantization}));
    const before = await packed.encode({tokens: texts, length: 8});
    expect(distance(before, await member.encode({tokens: texts, length: 8}))).toBeGreaterThan(1e-3);
    // Makes the timing signal of that length, which stays.
    await packed.encode({tokens: texts, length: 13});
    const tensors = tf.memory().numTensors;
    const starts = await packed.adapt({type: 'ismoe', experts: 2}, 3, heads);
    expect(await packed.encode({tokens: texts, length: 8})).toEqual(before);
    await packed.assign(starts.map(({values}) => values.map((value) => value + 0.05 * (next() - 0.5))));
    const [short, long] = [
      await packed.encode({tokens: texts, length: 8}),
      await packed.encode({tokens: texts, length: 13}),
    ];
    expect(distance(short, before)).toBeGreaterThan(1e-3);
    expect(distance(short, long)).toBeLessThan(1e-5);
    const {gradients} = await packed.gradients(part(0, 6));
    for (const gradient of gradients) expect(gradient!.some((value) => value !== 0)).toBe(true);
    await packed.release();
    expect(await packed.encode({tokens: texts, length: 8})).toEqual(before);
    expect(tf.memory().numTensors).toBe(tensors);
  });

  it.each([
    [{type: 'mor1e', r1: 2, r2: 2}, (i: number) => ({intuition: Float32Array.of(0.9, 0.1 * i, 0, 0)})],
    [{type: 'molora', router: {type: 'task'}}, (i: number) => ({task: Float32Array.of(i % 4)})],
    [{type: 'lime', router: {type: 'zero', jitter: 0.1, importance: 0.1}}, undefined],
    [{type: 'mov', router: {type: 'noisy-top-k'}}, undefined],
  ] as [AdapterConfig, ((i: number) => TextContext) | undefined][])(
    'brings texts’ context and seeded noise to routers: %j',
    async (config, contextOf) => {
      const before = tf.memory().numTensors;
      const starts = await member.adapt(config, 3, heads);
      await member.assign(starts.map(({values}) => values.map((value) => value + 0.05 * (next() - 0.5))));
      const context = contextOf && texts.map((_, i) => contextOf(i));
      const batch = {...part(0, 6), ...(context && {context})};
      const [first, again] = [await member.gradients(batch), await member.gradients(batch)];
      expect(again).toEqual(first);
      const other = await member.gradients({
        ...batch,
        seed: 2,
        ...(context && {context: [...context].reverse()}),
      });
      expect(other.loss).not.toBe(first.loss);
      await member.release();
      expect(tf.memory().numTensors).toBe(before);
    },
  );
});
