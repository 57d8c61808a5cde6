import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
// After tfjs, which registers its own gradients when it is loaded.
import '@tfjs-peft/kernels/gradients';
import '@tfjs-peft/kernels/wasm-training';
import {NoTargetError} from '@tfjs-peft/kernels';
import type {Targets} from '@tfjs-peft/layers';
import {inspect, trainer, upgrade} from '@tfjs-peft/layers/graph';
import {normalizeArtifacts} from '@tfjs-peft/layers/repair';
import {tensorDifference} from '@tfjs-peft/testing/compare';
import {folderHandler} from '../../data/models/folder-handler.js';
import {packageFolder} from '../../data/models/package-folder.js';

function load(name: string, folder: string, file?: string): Promise<tf.GraphModel> {
  return tf.loadGraphModel(normalizeArtifacts(folderHandler(join(packageFolder(name), folder), file)));
}

const adapted = (model: tf.GraphModel, targets: Targets) =>
  inspect(model, {targets, adapter: {type: 'lora', rank: 2}}).sites.filter(
    ({status}) => status === 'adapted',
  );

function differences(before: tf.Tensor[], after: tf.Tensor[]): number {
  return Math.max(...before.map((tensor, i) => tensorDifference(after[i]!, tensor)));
}

describe('faceres: age, gender and a descriptor of a face', () => {
  test('its dense layers, stored as float16, learn on wasm', async () => {
    await tf.setBackend('wasm');
    const model = await load('@vladmandic/human', 'models', 'faceres.json');
    const dense = adapted(model, 'all-dense').map(({className, shape, dtype}) => [className, shape, dtype]);
    expect(dense).toHaveLength(3);
    for (const shape of [
      [1024, 256],
      [256, 1],
      [256, 100],
    ]) {
      expect(dense).toContainEqual(['_FusedMatMul', shape, 'float16']);
    }
    expect(adapted(model, 'all-projections').length).toBeGreaterThan(15);

    const x = tf.randomUniform([2, 224, 224, 3], 0, 255, 'float32', 1);
    const before = model.predict(x) as tf.Tensor[];
    await upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}, seed: 1});
    expect(differences(before, model.predict(x) as tf.Tensor[])).toBeLessThan(1e-5);

    const ages = tf.oneHot(tf.tensor1d([30, 60], 'int32'), 100).toFloat();
    const training = trainer(model, {
      outputs: 'age_pred/Softmax',
      loss: 'categoricalCrossentropy',
      optimizer: tf.train.adam(0.01),
    });
    const {history} = await training.fit({xs: x, ys: ages}, {epochs: 4, batchSize: 2, verbose: 0});
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
    training.dispose();
  });
});

describe('basic-pitch: audio to notes', () => {
  test('has no matrix product, and says what there is', async () => {
    await tf.setBackend('wasm');
    const model = await load('@spotify/basic-pitch', 'model');
    await expect(upgrade(model, {adapter: {type: 'lora', rank: 2}})).rejects.toThrow(NoTargetError);
    await expect(upgrade(model, {adapter: {type: 'lora', rank: 2}})).rejects.toThrow(
      /cq_t2010v2_1\/conv1d_2'/,
    );
  });

  test('its convolutions behind the spectrum learn on wasm', async () => {
    await tf.setBackend('wasm');
    const model = await load('@spotify/basic-pitch', 'model');
    const targets = [{op: '_FusedConv2D'}];
    expect(adapted(model, targets)).toHaveLength(6);
    // A second of 440 Hz, twice.
    const wave = Float32Array.from({length: 43844}, (_, i) => Math.sin((2 * Math.PI * 440 * i) / 22050));
    const x = tf.tensor(wave, [1, 43844, 1]);
    const before = model.predict(x) as tf.Tensor[];
    await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets, seed: 1});
    expect(differences(before, model.predict(x) as tf.Tensor[])).toBeLessThan(1e-5);
    const training = trainer(model, {
      outputs: 'Identity_1',
      loss: 'meanSquaredError',
      optimizer: tf.train.adam(0.01),
    });
    const ys = tf.sub(1, before[1]!);
    const {history} = await training.fit({xs: x, ys}, {epochs: 2, batchSize: 1, verbose: 0});
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
    training.dispose();
  });
});

describe('guesslang: the language of source code', () => {
  afterAll(() => tf.env().set('KEEP_INTERMEDIATE_TENSORS', false));

  const texts = ['def f(x):\n    return x + 1\n', '#include <stdio.h>\nint main(void) { return 0; }\n'];

  test('its dense layers, stored as uint8, learn behind a frozen part of strings, on cpu', async () => {
    await tf.setBackend('cpu');
    // Stock tfjs runs this model with the flag only, and on one text at a time: else executeAsync frees the
    // loop's tensor list early.
    tf.env().set('KEEP_INTERMEDIATE_TENSORS', true);
    const model = await load('@vscode/vscode-languagedetection', 'model');
    expect(adapted(model, 'all-dense').map(({shape, dtype}) => [shape, dtype])).toEqual([
      [[70, 512], 'uint8'],
      [[512, 32], 'uint8'],
      [[32, 54], 'uint8'],
    ]);
    const x = tf.tensor1d(texts.slice(0, 1), 'string');
    const scores = 'head/predictions/probabilities';
    const before = (await model.executeAsync(x, scores)) as tf.Tensor;
    await upgrade(model, {adapter: {type: 'lora', rank: 2}, seed: 1});
    const after = (await model.executeAsync(x, scores)) as tf.Tensor;
    expect(differences([before], [after])).toBeLessThan(1e-5);
    const training = trainer(model, {
      outputs: scores,
      loss: 'categoricalCrossentropy',
      optimizer: tf.train.adam(0.01),
    });
    const batches = {
      *[Symbol.iterator]() {
        for (const [i, text] of texts.entries()) {
          yield {
            xs: tf.tensor1d([text], 'string'),
            ys: tf.oneHot(tf.tensor1d([3 + i], 'int32'), 54).toFloat(),
          };
        }
      },
    };
    const {history} = await training.fit(batches, {epochs: 4, verbose: 0});
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0] as number);
    training.dispose();
  });

  test('its embedding, which no adapter can reach, is refused, naming what can be targeted', async () => {
    const model = await load('@vscode/vscode-languagedetection', 'model');
    const targets = ['dnn/input_from_feature_columns'];
    const refused = upgrade(model, {adapter: {type: 'lora', rank: 2}, targets});
    await expect(refused).rejects.toThrow(NoTargetError);
    await expect(refused).rejects.toThrow(/'dnn\/input_from_feature_columns'.*'dnn\/hiddenlayer_0\/Relu'/s);
  });
});
