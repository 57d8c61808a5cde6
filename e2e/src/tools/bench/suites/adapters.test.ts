import * as tf from '@tensorflow/tfjs-core';
import {countTrainable} from '@tfjs-peft/layers';
import {readUseLiteWeights} from '../../../data/models/use-lite-weights.js';
import {useBackend} from '../../golden/backend.js';
import {ADAPTERS, loopSide} from './adapters-cases.js';

const TEXTS = 2;

/** Inputs and outputs of USE-lite's Dense layers. */
const SITES: [number, number][] = [
  [256, 768],
  [256, 512],
  [256, 512],
  [512, 1536],
  [1536, 512],
  [512, 1536],
  [512, 512],
  [512, 1536],
  [1536, 512],
  [512, 512],
];

test('MoLoRA in a loop computes what ours does, in the upgraded model and in the stock one', async () => {
  await useBackend('wasm');
  const weights = readUseLiteWeights();
  const ids = tf.randomUniform([TEXTS, 3], 1, 8000, 'int32', 1);
  const upgraded = await loopSide('upgraded', TEXTS, weights);
  const stock = await loopSide('stock', TEXTS, weights);
  const want = upgraded.without(ids);
  for (const {forward, trained} of [upgraded, stock]) {
    expect(tf.max(tf.abs(tf.sub(forward(ids, true), want))).dataSync()[0]).toBeLessThan(1e-5);
    // The factors of eight experts, and the router.
    expect(trained).toHaveLength(10 * (8 + 8 + 1));
  }
  upgraded.dispose();
  stock.dispose();
});

test('LiME trains 3.9 times fewer parameters than MoLoRA at 8 experts and rank 4', () => {
  const count = (name: string) =>
    SITES.reduce(
      (sum, [inputDim, outputDim]) => sum + countTrainable(ADAPTERS[name]!, {inputDim, outputDim}),
      0,
    );
  expect(Object.fromEntries(Object.keys(ADAPTERS).map((name) => [name, count(name)]))).toMatchObject({
    lora: 59392,
    dora: 67840,
    ia3: 8448,
    mov: 118784,
    molora: 526336,
    mor1e: 298004,
    lime: 135434,
  });
  expect(count('molora') / count('lime')).toBeGreaterThan(3.88);
});
