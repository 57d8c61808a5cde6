import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/gradients';
import '@tfjs-peft/kernels/wasm-training';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {trainer, upgrade} from '../../graph.js';
import {GraphBuilder} from '../testing/builder.js';

const WORDS = ['a', 'b', 'c', 'ü'];
const RESOURCE = 17;

/**
 * Words in a table of the model's initializer, whose numbers are rows of an embedding, and a
 * product: tokens [-1] to y [-1, 3].
 */
async function withTable(): Promise<GraphModel> {
  const graph = new GraphBuilder();
  graph.input('tokens', [-1], 'DT_STRING');
  graph.input('table', [], 'DT_RESOURCE');
  graph.integers('unknown', 0);
  graph.integers('axis', 0);
  graph.weight('rows', [WORDS.length, 8]);
  graph.weight('w', [8, 3]);
  graph.node('LookupTableFindV2', 'ids', ['table', 'tokens', 'unknown']);
  graph.node('GatherV2', 'embedded', ['rows', 'ids', 'axis']);
  graph.node('MatMul', 'MatMul', ['embedded', 'w'], {transpose_a: false, transpose_b: false});
  const {weightData, ...main} = graph.output('MatMul').artifacts();
  const numbers = tf.tensor1d(
    WORDS.map((_, i) => i),
    'int32',
  );
  const constants = await tf.io.encodeWeights([
    {name: 'init/keys', tensor: tf.tensor1d(WORDS, 'string')},
    {name: 'init/values', tensor: numbers},
  ]);
  const type = (name: string) => ({type: name});
  const constant = (name: string, dtype: string) => ({name, op: 'Const', attr: {dtype: type(dtype)}});
  const modelInitializer = {
    node: [
      {
        name: 'init/table',
        op: 'HashTableV2',
        attr: {key_dtype: type('DT_STRING'), value_dtype: type('DT_INT32')},
      },
      constant('init/keys', 'DT_STRING'),
      constant('init/values', 'DT_INT32'),
      {name: 'init/import', op: 'LookupTableImportV2', input: ['init/table', 'init/keys', 'init/values']},
    ],
    library: {},
    versions: {producer: 1882},
  };
  const inputs = {
    tokens: {name: 'tokens:0', dtype: 'DT_STRING'},
    table: {name: 'table:0', dtype: 'DT_RESOURCE', resourceId: RESOURCE},
  };
  return loadGraphModel(
    tf.io.fromMemory({
      ...structuredClone(main),
      signature: {...main.signature, inputs},
      modelInitializer,
      initializerSignature: {outputs: {'init/import': {name: 'init/import', resourceId: RESOURCE}}},
      weightSpecs: [...main.weightSpecs!, ...constants.specs],
      weightData: tf.io.concatenateArrayBuffers([weightData as ArrayBuffer, constants.data as ArrayBuffer]),
    }),
  );
}

describe.each(['cpu', 'wasm'])('a model that looks words up, on %s', (backend) => {
  beforeEach(() => tf.setBackend(backend));

  it.each([true, false])('takes of a trainer what it takes itself, used before: %s', async (used) => {
    const model = await withTable();
    const text = tf.tensor1d(['b', 'ü', 'a', 'c', 'c'], 'string');
    const ys = tf.ones([5, 3]);
    if (used) await model.executeAsync(text);
    await upgrade(model, {targets: [/MatMul/], adapter: {type: 'lora', rank: 2}, seed: 1});
    const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.02)});
    const outcome = async (inputs: Parameters<typeof training.predict>[0]) =>
      ((await training.predict(inputs)) as tf.Tensor).data();
    const wanted = await ((await model.executeAsync(text)) as tf.Tensor).data();
    for (const inputs of [text, [text], {tokens: text}]) expect(await outcome(inputs)).toEqual(wanted);
    const {history} = await training.fit({xs: text, ys}, {epochs: 4, batchSize: 2, seed: 1, verbose: 0});
    const losses = history.loss as number[];
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
    const {loss} = await training.evaluate({xs: text, ys}, {batchSize: 3});
    const now = (await model.executeAsync(text)) as tf.Tensor;
    const byHand = await tf.losses.meanSquaredError(ys, now).data();
    expect(loss).toBeCloseTo(byHand[0]!, 5);
    const mean = (out: tf.Tensor | tf.Tensor[]) => tf.mean(out as tf.Tensor) as tf.Scalar;
    expect(Object.keys((await training.gradients(text, mean)).grads)).toHaveLength(2);
    await expect(training.predict([text, text])).rejects.toThrow(
      "takes 1 input(s), but got 2. Pass one tensor for each. Its inputs: 'tokens'.",
    );
  });
});
