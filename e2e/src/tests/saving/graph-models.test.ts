import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
// After tfjs, which registers its own gradients when it is loaded.
import '@tfjs-peft/kernels/gradients';
import '@tfjs-peft/kernels/wasm-training';
import {type AdapterConfig, type Peft, type Targets, upgrade} from '@tfjs-peft/layers/graph';
import {exportPlain} from '@tfjs-peft/layers/merge';
import {tensorDifference} from '@tfjs-peft/testing/compare';
import {folderHandler} from '../../data/models/folder-handler.js';
import {loadUseLiteGraph, raggedTokens} from '../../data/models/use-lite-graph.js';
import {DIALECTS, type EncoderOptions, writeEncoder} from '../dialects/encoder.js';

const LORA: AdapterConfig = {type: 'lora', rank: 2};
const MOLORA: AdapterConfig = {type: 'molora', experts: 3, rank: 2};

const folder = mkdtempSync(join(tmpdir(), 'graph-models-'));
beforeAll(() => tf.setBackend('wasm'));
afterAll(() => rmSync(folder, {recursive: true}));

/** Adapters that do something. */
async function adapt(
  model: tf.GraphModel,
  adapter: AdapterConfig,
  targets?: Targets,
): Promise<Peft<tf.GraphModel>> {
  const peft = await upgrade(model, {adapter, seed: 1, ...(targets && {targets})});
  peft.trainableVariables().forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.randomUniform(variable.shape, -0.1, 0.1, 'float32', 100 + i)));
  });
  return peft;
}

function encode(model: tf.GraphModel): tf.Tensor {
  const ids = [
    [1, 2, 3, 4, 5, 6],
    [7, 8, 9, 0, 0, 0],
  ];
  const tensor = (rows: number[][]) => tf.tensor2d(rows, [2, 6], 'int32');
  return model.execute(
    {
      input_ids: tensor(ids),
      attention_mask: tensor(ids.map((row) => row.map((id) => Number(id > 0)))),
      token_type_ids: tensor(ids.map((row) => row.map(() => 0))),
    },
    'Identity_1',
  ) as tf.Tensor;
}

const cases: EncoderOptions[] = [
  ...DIALECTS.map((dialect): EncoderOptions => ({dialect})),
  {dialect: 'tensordot', quantization: 'uint8'},
  {dialect: 'einsum', quantization: 'float16'},
];

test.each(cases)(
  'an encoder %j with its adapters, and merged, is the same after loading',
  async (options) => {
    const load = () => tf.loadGraphModel(tf.io.fromMemory(writeEncoder(options)));
    const model = await load();
    const base = encode(model);
    const peft = await adapt(model, LORA, 'all-projections');
    const expected = encode(model);
    expect(tensorDifference(expected, base)).toBeGreaterThan(0.01);
    const [own, plain] = [join(folder, 'own'), join(folder, 'plain')];
    await peft.saveModel(own);
    expect(tensorDifference(encode(await tf.loadGraphModel(folderHandler(own))), expected)).toBeLessThan(
      1e-6,
    );
    await exportPlain(peft, plain);
    expect(tensorDifference(encode(await tf.loadGraphModel(folderHandler(plain))), expected)).toBeLessThan(
      1e-4,
    );
    peft.detach();
    const mixed = await adapt(model, MOLORA);
    const mixture = encode(model);
    await mixed.saveModel(own);
    expect(tensorDifference(encode(await tf.loadGraphModel(folderHandler(own))), mixture)).toBeLessThan(1e-6);
    await expect(exportPlain(mixed, plain)).rejects.toThrow(
      /cannot be merged exactly: its gates depend on the input/,
    );
  },
);

test('USE-lite as shipped with its adapters, and merged, is the same after loading', async () => {
  const tokens = raggedTokens(
    [
      [5, 6, 7, 8, 9],
      [10, 11],
    ],
    8,
  );
  const embed = async (model: tf.GraphModel) => (await model.executeAsync({...tokens})) as tf.Tensor;
  const model = await loadUseLiteGraph();
  const base = await embed(model);
  const peft = await adapt(model, LORA, 'all-projections');
  const expected = await embed(model);
  expect(tensorDifference(expected, base)).toBeGreaterThan(1e-3);
  const [own, plain] = [join(folder, 'use-own'), join(folder, 'use-plain')];
  await peft.saveModel(own);
  expect(tensorDifference(await embed(await loadUseLiteGraph(own)), expected)).toBeLessThan(1e-6);
  await exportPlain(peft, plain);
  expect(tensorDifference(await embed(await loadUseLiteGraph(plain)), expected)).toBeLessThan(1e-5);
});
