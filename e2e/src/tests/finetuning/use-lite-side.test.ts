import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import '@tfjs-peft/kernels/gradients';
import {trainer} from '@tfjs-peft/layers/graph';
import {quantizeModel} from '@tfjs-peft/layers/quantize';
import {attachSideNetwork, type GraphSideConfig, loadSideNetwork} from '@tfjs-peft/layers/side';
import {tensorDifference} from '@tfjs-peft/testing/compare';
import {loadUseLiteGraph, raggedTokens} from '../../data/models/use-lite-graph.js';
import {useBackend} from '../../tools/golden/backend.js';

const TOKENS = [
  [41, 190, 7, 23, 5],
  [310, 6, 88],
  [9, 12],
];

const ENCODE = 'module_apply_default/Encoder_en/KonaTransformer/Encode';
const LAYER = `${ENCODE}/TransformerStack/Layer`;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'use-lite-side-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

function config(): GraphSideConfig {
  return {
    taps: [
      `${LAYER}_0/add`,
      `${LAYER}_0/TransformerLayer/FFN/layer_postprocess/add`,
      `${LAYER}_1/TransformerLayer/FFN/layer_postprocess/add`,
    ],
    mask: `${ENCODE}/Greater`,
    salient: 'mean',
    reduction: 16,
    seed: 1,
    example: {...raggedTokens([[1]], 5)},
  };
}

async function vectors(model: GraphModel): Promise<tf.Tensor> {
  const inputs = raggedTokens(TOKENS, 5);
  const y = (await model.executeAsync({...inputs}, model.outputNodes)) as tf.Tensor;
  tf.dispose(Object.values(inputs));
  return y;
}

const bytesOf = (model: GraphModel) =>
  Promise.all(
    Object.values(model.weights)
      .flat()
      .filter(({dtype}) => dtype === 'float32')
      .map(async (weight) => Float32Array.from(await weight.data())),
  );

test.each<[string, boolean, boolean]>([
  ['as shipped', false, false],
  ['quantised to 4 bits (MP-ISMoE)', true, false],
  ['quantised, with its layer norms trained', true, true],
])(
  'USE-lite %s is trained by a side network',
  async (label, quantised, trainNorms) => {
    await useBackend('wasm');
    const make = async () => {
      const model = await loadUseLiteGraph();
      if (quantised) await quantizeModel(model, {format: 'int4', targets: 'all-projections'});
      return model;
    };
    const model = await make();
    const [stock, before] = [await vectors(model), await bytesOf(model)];
    const side = await attachSideNetwork(model, {...config(), trainNorms});
    expect(tensorDifference(await vectors(model), stock)).toBeLessThan(1e-5);

    // Each text shall have the vector of the one before.
    const y = tf.concat([tf.slice(stock, [2, 0], [1, -1]), tf.slice(stock, [0, 0], [2, -1])]);
    const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.01)});
    expect(training.preflight()).toEqual([]);
    const {history} = await training.fit(() => [{xs: {...raggedTokens(TOKENS, 5)}, ys: tf.clone(y)}], {
      epochs: 20,
      verbose: 0,
    });
    const losses = history.loss as number[];
    expect(losses.at(-1)!).toBeLessThan(0.9 * losses[0]!);
    training.dispose();
    const norms = side.report().parts.find(({name}) => name === 'norms');
    // Four norms of 256, 512, 512 and 512, each with a gain and a shift.
    expect(norms?.trainable).toBe(trainNorms ? 2 * (256 + 3 * 512) : undefined);
    const want = await vectors(model);
    expect(tensorDifference(want, stock)).toBeGreaterThan(0.01);
    const place = join(folder, label.replace(/\W+/g, '-'));
    await side.save(place);
    side.remove();
    expect(await bytesOf(model)).toEqual(before);
    expect(tensorDifference(await vectors(model), stock)).toBe(0);
    model.dispose();

    const other = await make();
    await loadSideNetwork(other, place, {example: config().example!});
    expect(tensorDifference(await vectors(other), want)).toBeLessThan(1e-6);
    other.dispose();
  },
  120000,
);
