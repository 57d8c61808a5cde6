import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  ConfigError,
  DuplicateNameError,
  NoTargetError,
  type PeftError,
  UnsupportedSiteError,
} from '@tfjs-peft/kernels';
import {inspect, loadPeft, loraDense, type UpgradeConfig, upgrade} from '../../index.js';
import {
  compile,
  copy,
  expectUnchanged,
  fingerprint,
  nested,
  normalized,
  predict,
  sequential,
  train,
} from '../../testing/models.js';

const lora = {type: 'lora', rank: 2} as const;

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** A config that no type checker would let through. */
const wrong = (config: unknown) => config as UpgradeConfig;

describe('upgrade refuses, and leaves the model alone:', () => {
  test.each<[string, () => tfl.LayersModel, UpgradeConfig, typeof PeftError, RegExp]>([
    [
      'an unknown adapter type',
      sequential,
      wrong({adapter: {type: 'loro'}}),
      ConfigError,
      /'?loro'?.*lora.*ia3/s,
    ],
    ['no adapter', sequential, wrong({}), ConfigError, /adapter/],
    ['no config', sequential, wrong(undefined), ConfigError, /upgrade/],
    [
      'an unknown option',
      sequential,
      wrong({adapter: lora, target: ['x']}),
      ConfigError,
      /unknown option 'target'/,
    ],
    [
      'an unknown adapter option',
      sequential,
      wrong({adapter: {...lora, r: 1}}),
      ConfigError,
      /unknown option 'r'/,
    ],
    ['rank 0', sequential, {adapter: {type: 'lora', rank: 0}}, ConfigError, /rank is 0/],
    ['a broken rank', sequential, {adapter: {type: 'molora', rank: 1.5}}, ConfigError, /rank is 1.5/],
    ['no experts', sequential, {adapter: {type: 'mov', experts: 0}}, ConfigError, /experts is 0/],
    [
      'top-k above experts',
      sequential,
      {adapter: {type: 'molora', experts: 2, router: {type: 'softmax', topK: 3}}},
      ConfigError,
      /topK is 3/,
    ],
    [
      'an unknown router',
      sequential,
      wrong({adapter: {type: 'mov', router: {type: 'x'}}}),
      ConfigError,
      /type 'x'/,
    ],
    [
      'a name that matches nothing',
      sequential,
      {adapter: lora, targets: ['dense_2']},
      NoTargetError,
      /'dense_2'.*'dense_1', 'dense_10', 'dense_100'/,
    ],
    [
      'one good name and one bad',
      sequential,
      {adapter: lora, targets: ['dense_1', 'dense']},
      NoTargetError,
      /'dense' matches no layer/,
    ],
    [
      'a pattern that matches nothing',
      nested,
      {adapter: lora, targets: [/^ffn/]},
      NoTargetError,
      /\/\^ffn\//,
    ],
    ['an empty list', sequential, {adapter: lora, targets: []}, NoTargetError, /nothing to adapt.*'dense_1'/],
    [
      'a predicate that is never true',
      nested,
      {adapter: lora, targets: () => false},
      NoTargetError,
      /'inner\/deep\/dense_1'/,
    ],
    [
      'a name instead of a list',
      sequential,
      wrong({adapter: lora, targets: 'dense_1'}),
      ConfigError,
      /\['dense_1', \/ffn\/\]/,
    ],
    ['a list of something else', sequential, wrong({adapter: lora, targets: [1]}), ConfigError, /\[1\]/],
    [
      'a layer that is no Dense',
      normalized,
      {adapter: lora, targets: ['layer_norm']},
      UnsupportedSiteError,
      /'layer_norm' is a LayerNormalization.*'first', 'head'/,
    ],
    [
      'one among good ones',
      normalized,
      {adapter: lora, targets: ['first', 'batch_norm']},
      UnsupportedSiteError,
      /'batch_norm'/,
    ],
    [
      'a pattern for layers that are no Dense',
      normalized,
      {adapter: lora, targets: [/_norm$/]},
      UnsupportedSiteError,
      /BatchNormalization/,
    ],
    [
      'a predicate for such layers',
      normalized,
      {adapter: lora, targets: ({kind}) => kind === 'other'},
      UnsupportedSiteError,
      /'batch_norm', 'layer_norm'/,
    ],
    [
      'alsoTrain that matches nothing',
      sequential,
      {adapter: lora, alsoTrain: ['head']},
      NoTargetError,
      /alsoTrain: 'head'/,
    ],
    [
      'a layer to be adapted and trained',
      sequential,
      {adapter: lora, targets: ['dense_1', 'dense_10'], alsoTrain: [/_1$/]},
      ConfigError,
      /'dense_1' is named in targets.*\/_1\$\//,
    ],
    [
      'alsoTrain for everything',
      sequential,
      {adapter: lora, alsoTrain: [/./]},
      NoTargetError,
      /nothing to adapt/,
    ],
    [
      'an override that matches nothing',
      sequential,
      {adapter: lora, targets: ['dense_1'], overrides: [{targets: ['dense_10'], adapter: {}}]},
      NoTargetError,
      /override for \['dense_10'\]/,
    ],
    [
      'an override that is not good',
      sequential,
      {adapter: lora, overrides: [{targets: [/0$/], adapter: {rank: 0}}]},
      ConfigError,
      /rank is 0/,
    ],
    [
      'an override of another form',
      sequential,
      wrong({adapter: lora, overrides: {rank: 1}}),
      ConfigError,
      /overrides is .*must be a list/,
    ],
    ['an empty name', sequential, {adapter: lora, name: ''}, ConfigError, /name is ''/],
    ['a broken seed', sequential, {adapter: lora, seed: 0.5}, ConfigError, /seed is 0.5/],
  ])('%s', async (_what, make, config, type, message) => {
    const model = make();
    compile(model);
    await train(model, 1);
    const before = fingerprint(model);
    const {numTensors, numBytes} = tf.memory();
    const refused = upgrade(model, config);
    await expect(refused).rejects.toBeInstanceOf(type);
    await expect(refused).rejects.toThrow(message);
    expectUnchanged(model, before);
    expect(tf.memory()).toMatchObject({numTensors, numBytes});
  });

  test('what is not a LayersModel', async () => {
    for (const model of [undefined, null, {}, tfl.layers.dense({units: 1})]) {
      await expect(upgrade(model as tfl.LayersModel, {adapter: lora})).rejects.toBeInstanceOf(ConfigError);
    }
  });

  test('a disposed model', async () => {
    const model = sequential();
    model.dispose();
    await expect(upgrade(model, {adapter: lora})).rejects.toThrow(/is disposed/);
  });

  test('a second adapter of the same name', async () => {
    const model = nested();
    await upgrade(model, {adapter: lora});
    const before = fingerprint(model);
    const again = upgrade(model, {adapter: {type: 'ia3'}, targets: ['head']});
    await expect(again).rejects.toBeInstanceOf(DuplicateNameError);
    await expect(again).rejects.toThrow(/already has an adapter 'default'/);
    expectUnchanged(model, before);
  });

  test('a model whose inner model is upgraded by itself', async () => {
    const model = nested();
    const inner = model.getLayer('inner') as unknown as tfl.LayersModel;
    const peft = await upgrade(inner, {adapter: lora});
    const before = fingerprint(model);
    await expect(upgrade(model, {adapter: lora, name: 'outer'})).rejects.toThrow(
      /upgrade of model 'inner'.*Detach/,
    );
    expectUnchanged(model, before);
    peft.detach();
    await upgrade(model, {adapter: lora, name: 'outer'});
  });

  test('drop-in layers, made by hand or of a model that was saved whole, which have adapters of their own', async () => {
    const base = sequential();
    const peft = await upgrade(base, {adapter: lora, name: 'mine'});
    let stored: tf.io.ModelArtifacts | undefined;
    await peft.save({
      save: async (artifacts) => {
        stored = artifacts as tf.io.ModelArtifacts;
        return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
      },
    });
    const byHand = tfl.sequential({layers: [loraDense({units: 2, inputShape: [3], name: 'own'})]});
    for (const [model, name, adapter] of [
      [await copy(base), 'dense_1', 'mine'],
      [byHand, 'own', 'default'],
    ] as const) {
      const text = new RegExp(
        `layer '${name}' is a PeftDense with adapters of its own \\('${adapter}'\\): a drop-in layer, made by hand or loaded with a model ` +
          'that was saved whole, which has no Peft. Load the base from its own file',
      );
      const before = await predict(model);
      await expect(upgrade(model, {adapter: lora, targets: [name]})).rejects.toThrow(text);
      await expect(upgrade(model, {adapter: lora})).rejects.toThrow(text);
      expect(await predict(model)).toEqual(before);
    }
    await expect(loadPeft(await copy(base), {load: async () => stored!})).rejects.toThrow(
      /layer 'dense_1' is a PeftDense with adapters of its own \('mine'\)/,
    );
  });

  test('a model that is being trained', async () => {
    const model = sequential();
    compile(model);
    const fit = train(model, 1);
    await expect(upgrade(model, {adapter: lora})).rejects.toThrow(/being trained/);
    await fit;
    await upgrade(model, {adapter: lora});
  });

  test('an optimizer that cannot be made again', async () => {
    class Own extends tf.SGDOptimizer {
      override getConfig(): tf.serialization.ConfigDict {
        throw new Error('not written');
      }
    }
    const model = sequential();
    compile(model, new Own(0.1));
    const before = fingerprint(model);
    const refused = upgrade(model, {adapter: lora});
    await expect(refused).rejects.toBeInstanceOf(ConfigError);
    await expect(refused).rejects.toThrow(/compiled with Own.*before compile/);
    expectUnchanged(model, before);
  });
});

describe('inspect', () => {
  test('changes nothing and says what upgrade would do', async () => {
    const model = normalized();
    const before = fingerprint(model);
    const report = inspect(model, {targets: [/./], adapter: lora});
    expectUnchanged(model, before);
    expect(report.sites.map(({name, status}) => [name, status])).toEqual([
      ['first', 'adapted'],
      ['batch_norm', 'unsupported'],
      ['layer_norm', 'unsupported'],
      ['head', 'adapted'],
    ]);
    const peft = await upgrade(model, {adapter: lora, targets: [/./]});
    expect({...peft.report(), adapter: null, toString: null}).toEqual({...report, toString: null});
    expect(String(report)).toMatch(/Dry run:\nlayer .*38 of 125 parameters are trained \(30.40 %\)\.$/s);
    expect(inspect(model, {targets: ['head']}).sites.filter(({status}) => status === 'adapted')).toHaveLength(
      1,
    );
  });

  test('refuses what upgrade refuses', () => {
    expect(() => inspect(sequential(), {targets: ['x']})).toThrow(NoTargetError);
    expect(() => inspect(sequential(), {adapter: {type: 'lora', rank: -1}})).toThrow(ConfigError);
  });
});
