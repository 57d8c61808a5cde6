import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {inspect, upgrade} from '../../index.js';
import {
  compile,
  copy,
  dense,
  expectUnchanged,
  fingerprint,
  predict,
  sequential,
  train,
} from '../../testing/models.js';

beforeAll(() => tf.setBackend('cpu'));

const LORA = {type: 'lora', rank: 2} as const;
const REFUSED = {
  name: 'ConfigError',
  message: expect.stringMatching(/'dense_1' is part of the upgrade of model 'sequential'/),
};

/** A model of the first layers of another. */
function featuresOf(model: tfl.LayersModel, name = 'features'): tfl.LayersModel {
  return tfl.model({
    name,
    inputs: model.inputs,
    outputs: model.getLayer('dense_10').output as tfl.SymbolicTensor,
  });
}

function move(variables: tf.Variable[]): void {
  variables.forEach((variable, i) => {
    variable.assign(tf.randomNormal(variable.shape, 0, 0.5, 'float32', i + 1));
  });
}

describe("a model of an upgraded model's layers", () => {
  test.each(['before', 'after'])(
    'that was made %s the upgrade computes, lists, counts and saves what the layers are',
    async (when) => {
      const model = sequential();
      let features = featuresOf(model);
      const stock = await predict(features);
      const before = [features.countParams(), features.getWeights().length];
      const peft = await upgrade(model, {adapter: LORA, seed: 1, name: 'a'});
      if (when === 'after') features = featuresOf(model, 'later');
      move(peft.trainableVariables());
      const moved = await predict(features);
      expect(moved).not.toEqual(stock);
      expect(features.getLayer('dense_1')).toBe(model.getLayer('dense_1'));
      expect(features.countParams()).toBe(before[0]! + 2 * (4 + 6) + 2 * (6 + 5));
      expect(features.getWeights()).toHaveLength(before[1]! + 4);
      expect(await predict(await copy(features))).toEqual(moved);
      const lines: string[] = [];
      features.summary(undefined, undefined, (line) => lines.push(line as string));
      expect(lines.join('\n')).toMatch(/PeftDense/);
      const kept = features.getWeights().map((weight) => weight.clone());
      await upgrade(model, {adapter: {type: 'ia3'}, name: 'b', targets: ['dense_1']});
      peft.disable();
      expect(await predict(features)).toEqual(stock);
      peft.remove('b');
      features.setWeights(kept);
      peft.enable('a');
      expect(await predict(features)).toEqual(moved);
      peft.detach();
      expect(await predict(features)).toEqual(stock);
      expect([features.countParams(), features.getWeights().length]).toEqual(before);
      expect(await predict(await copy(features))).toEqual(stock);
    },
  );

  test('is named in the report, with the layers that it has', async () => {
    const model = sequential();
    const features = featuresOf(model);
    const heads = tfl.model({
      name: 'heads',
      inputs: model.inputs,
      outputs: dense('other', 2, 5).apply(model.getLayer('dense_1').output) as tfl.SymbolicTensor,
    });
    compile(model);
    const shared = [
      {model: 'features', layers: ['dense_1', 'dense_10']},
      {model: 'heads', layers: ['dense_1']},
    ];
    expect(inspect(model).sharedWith).toEqual(shared);
    const peft = await upgrade(model, {adapter: LORA});
    expect(peft.report().sharedWith).toEqual(shared);
    expect(String(peft.report())).toMatch(/Model 'heads' shares 'dense_1': this adapter changes it too\./);
    // tfjs disposes a layer with the first of its models that goes.
    heads.dispose();
    expect(() => peft.report()).toThrow(/Layer 'dense_1' of model 'sequential' is disposed: another model/);
    expect(features.name).toBe('features');
  });

  test('is named where it has the upgraded model itself, and nothing else is', async () => {
    const model = sequential();
    const other = sequential();
    const x = tfl.input({shape: [4]});
    const outer = tfl.model({name: 'gan', inputs: x, outputs: model.apply(x) as tfl.SymbolicTensor});
    const wrapped = tfl.sequential({name: 'wrapped', layers: [model]});
    compile(wrapped);
    const stock = await predict(outer);
    const peft = await upgrade(model, {adapter: LORA, seed: 1});
    expect(
      peft
        .report()
        .sharedWith.map((shared) => shared.model)
        .sort(),
    ).toEqual(['gan', 'wrapped']);
    move(peft.trainableVariables());
    const moved = await predict(outer);
    expect(moved).not.toEqual(stock);
    expect(await predict(await copy(outer))).toEqual(moved);
    expect(inspect(other).sharedWith).toEqual([]);
  });

  test('of no layers with weights shares nothing', async () => {
    const x = tfl.input({shape: [4]});
    const dropout = tfl.layers.dropout({rate: 0.1}).apply(x) as tfl.SymbolicTensor;
    const [one, two] = [1, 2].map((seed) =>
      tfl.model({inputs: x, outputs: dense(`head_${seed}`, 2, seed).apply(dropout) as tfl.SymbolicTensor}),
    );
    const first = await upgrade(one!, {adapter: LORA});
    expect(first.report().sharedWith).toEqual([]);
    await upgrade(two!, {adapter: LORA});
  });

  test('cannot be upgraded too, by whichever layer they share, until the other is detached', async () => {
    const model = sequential();
    const features = featuresOf(model);
    compile(features);
    const x = tf.ones([2, 4]);
    const peft = await upgrade(model, {adapter: LORA, targets: ['dense_100'], name: 'a'});
    const before = [fingerprint(model), fingerprint(features)] as const;
    await expect(upgrade(features, {adapter: LORA})).rejects.toMatchObject(REFUSED);
    await upgrade(model, {adapter: LORA, name: 'b'});
    await expect(upgrade(features, {adapter: LORA, targets: ['dense_10']})).rejects.toMatchObject(REFUSED);
    expect(() => inspect(features)).toThrow(/part of the upgrade/);
    peft.remove('b');
    expect(peft.names).toEqual(['a']);
    expectUnchanged(features, before[1]);
    expectUnchanged(model, before[0]);
    peft.detach();
    const own = await upgrade(features, {adapter: LORA});
    move(own.trainableVariables());
    await expect(upgrade(model, {adapter: LORA})).rejects.toThrow(
      /'dense_1' is part of the upgrade of model 'features'/,
    );
    features.dispose();
    expect(() => model.predict(x)).toThrow();
  });

  test('keeps an upgrade from changing while it is trained itself', async () => {
    const model = sequential();
    const heads = tfl.model({
      name: 'heads',
      inputs: model.inputs,
      outputs: dense('other', 3, 5).apply(model.getLayer('dense_1').output) as tfl.SymbolicTensor,
    });
    const peft = await upgrade(model, {adapter: LORA, targets: ['dense_1']});
    compile(heads);
    let message = '';
    await heads.fit(tf.ones([4, 4]), tf.ones([4, 3]), {
      verbose: 0,
      callbacks: {
        onBatchEnd: async () => {
          try {
            peft.detach();
          } catch (error) {
            message = String(error);
          }
        },
      },
    });
    expect(message).toMatch(/ConfigError: Model 'heads' is being trained/);
    await train(heads, 1);
    peft.detach();
  });
});
