import * as tf from '@tensorflow/tfjs-core';
import type {AdapterConfig} from '@tfjs-peft/layers';
import {loadBuiltinTasks} from '../../../data/tasks/builtin.js';
import {random} from '../../../data/tasks/random.js';
import {useBackend} from '../../common/backend.js';
import {Parameters} from '../../common/parameters.js';
import {Member} from '../member.js';
import type {Encoder} from './encoder.js';
import {loadEncoder} from './load.js';

const STEPS = 20;
const BATCH = 8;
const LENGTH = 24;
// Small enough that rounding does not make LiME choose another expert, after which the two would be two runs.
const LEARNING_RATE = 1e-3;

/** The layer of the rebuild that a node of the shipped graph is. */
function layerOf(node: string): string {
  const block = /Layer_(\d)/.exec(node)?.[1];
  const parts: [RegExp, string][] = [
    [/AdjustResidualInput/, 'residual'],
    [/qkv_transform/, 'qkv'],
    [/output_transform/, 'attention_out'],
    [/FFN\/conv1/, 'ffn1'],
    [/FFN\/conv2/, 'ffn2'],
  ];
  const part = parts.find(([pattern]) => pattern.test(node))?.[1];
  return part === undefined ? 'tanh_layer' : `layer_${block}_${part}`;
}

const sitesOf = ({trained}: Member): string[] => trained.places();

describe('USE-lite as shipped', () => {
  const [task] = loadBuiltinTasks(['supersense'], {train: 200, validation: 10, test: 10}, 1);
  const next = random(1, 'shipped test');
  const classes = task!.labels.length;
  let rebuild: Encoder;
  let shipped: Encoder;
  let examples: {tokens: Int32Array; label: number}[];
  const head = {
    kernel: Float32Array.from({length: 512 * classes}, () => 0.02 * (next() - 0.5)),
    bias: new Float32Array(classes),
  };

  beforeAll(async () => {
    await useBackend('wasm');
    rebuild = await loadEncoder({model: 'use-lite'});
    shipped = await loadEncoder({model: 'use-lite-shipped'});
    examples = task!.train.map(({text, label}) => ({
      tokens: Int32Array.from(rebuild.tokenize(text)).subarray(0, LENGTH),
      label,
    }));
  }, 60000);

  it.each<AdapterConfig>([
    {type: 'molora', experts: 4, rank: 4, alpha: 16},
    {type: 'lime', experts: 4, over: {type: 'lora', rank: 4, alpha: 16}},
  ])(
    'starts as the untouched model, and trains as its rebuild does, with %j',
    async (adapter) => {
      const [first, second] = [new Member(rebuild), new Member(shipped)];
      const some = {tokens: examples.slice(0, 6).map(({tokens}) => tokens), length: LENGTH};
      const untouched = await second.encode(some);
      const starts = await first.adapt(adapter, 3, [head]);
      await second.adapt(adapter, 4, [head]);
      const upgraded = await second.encode(some);
      expect(worst(untouched, upgraded)).toBeLessThan(1e-5);

      const layers = sitesOf(first);
      const perSite = (starts.length - 2) / layers.length;
      const order = [
        ...sitesOf(second).flatMap((node) => {
          const site = layers.indexOf(layerOf(node));
          expect(site).toBeGreaterThanOrEqual(0);
          return Array.from({length: perSite}, (_, i) => site * perSite + i);
        }),
        starts.length - 2,
        starts.length - 1,
      ];
      const trainers = [
        {member: first, parameters: new Parameters(starts, () => 1), order: [...starts.keys()]},
        {
          member: second,
          parameters: new Parameters(
            order.map((i) => starts[i]!),
            () => 1,
          ),
          order,
        },
      ];
      expect(trainers[1]!.parameters.values.map(({length}) => length).sort()).toEqual(
        trainers[0]!.parameters.values.map(({length}) => length).sort(),
      );
      const losses: number[][] = [];
      const alive: number[] = [];
      for (let step = 0; step < STEPS; step++) {
        const batch = Array.from({length: BATCH}, (_, i) => examples[(step * BATCH + i) % examples.length]!);
        const row: number[] = [];
        for (const {member, parameters} of trainers) {
          await member.assign(parameters.values);
          const {loss, gradients} = await member.gradients({
            tokens: batch.map(({tokens}) => tokens),
            length: LENGTH,
            heads: batch.map(() => 0),
            labels: batch.map(({label}) => label),
            count: BATCH,
            seed: step,
          });
          parameters.update(gradients, LEARNING_RATE, 1);
          row.push(loss);
        }
        losses.push(row);
        alive.push(tf.memory().numTensors);
      }
      for (const [mine, other] of losses) expect(Math.abs(mine! - other!)).toBeLessThan(1e-3);
      expect(alive.at(-1)).toBe(alive[0]);
      const mean = (rows: number[][]) => rows.reduce((sum, [, own]) => sum + own!, 0) / rows.length;
      expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 5)) - 0.2);
      await first.release();
      await second.release();
      expect(await second.encode(some)).toEqual(untouched);
    },
    240000,
  );
});

function worst(left: Float32Array, right: Float32Array): number {
  return left.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i]!)), 0);
}
