import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type Peft, upgrade} from '../../index.js';
import {
  compile,
  copy,
  dense,
  MODELS,
  normalized,
  predict,
  sequential,
  text,
  timeDistributed,
  train,
} from '../../testing/models.js';

beforeAll(() => tf.setBackend('cpu'));

const LORA = {type: 'lora', rank: 2} as const;

/** Does something to a model in each state of its two adapters. */
async function inEachState(peft: Peft, look: (state: string) => unknown): Promise<void> {
  for (const name of ['a', 'b', null, 'b', 'a', null]) {
    if (name === null) peft.disable();
    else peft.enable(name);
    await look(String(name));
  }
}

const holders = (model: tfl.LayersModel): tfl.layers.Layer[] =>
  [
    model,
    ...model.layers.flatMap((layer) => {
      const {layers, layer: inner} = layer as {layers?: tfl.layers.Layer[]; layer?: tfl.layers.Layer};
      return [layer, ...(layers ?? []), ...(inner === undefined ? [] : [inner])];
    }),
  ].filter(({weights}) => weights.length > 0);

describe.each(Object.entries({...MODELS, text}))('%s', (_, make) => {
  test("lists its weights in one order, whichever adapter is active: the base's, then those of adapters", async () => {
    const model = make();
    // Two models inside each other may list one layer.
    const ids = () => [...new Set(model.weights.map(({id}) => id))];
    const stock = ids();
    const names = model.layers.map(({name}) => name);
    const head = names.at(-1)!;
    const first = names.find((name) => name !== head && model.getLayer(name).weights.length > 0)!;
    const peft = await upgrade(model, {adapter: LORA, name: 'a', targets: [head]});
    await upgrade(model, {adapter: LORA, name: 'b', targets: [head], alsoTrain: [first]});
    const all = ids();
    expect(all.slice(0, stock.length)).toEqual(stock);
    expect(all.slice(stock.length)).toHaveLength(4);
    const lists = holders(model).map((holder) => holder.weights.map(({id}) => id));
    await inEachState(peft, () => {
      expect(holders(model).map((holder) => holder.weights.map(({id}) => id))).toEqual(lists);
      expect(model.weights.map((weight) => weight.read().id)).toEqual(model.getWeights().map(({id}) => id));
    });
    peft.detach();
    expect(ids()).toEqual(stock);
  });

  test('values go back where they came from, whichever adapter is active', async () => {
    const model = make();
    const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
    await upgrade(model, {adapter: LORA, name: 'b', seed: 2});
    for (const weight of model.weights)
      weight.write(tf.randomUniform(weight.shape as number[], -1, 1, weight.dtype as 'float32'));
    const outputs: Record<string, Float32Array> = {};
    await inEachState(peft, async (state) => (outputs[state] = await predict(model)));
    await inEachState(peft, async () => {
      const kept = model.getWeights().map((weight) => weight.clone());
      await inEachState(peft, async (state) => {
        model.setWeights(kept);
        expect(await predict(model)).toEqual(outputs[state]);
      });
      tf.dispose(kept);
    });
  });
});

test('with as many ranks as columns and no bias, weights of adapters do not go into the kernel', async () => {
  const model = tfl.sequential({
    layers: [tfl.layers.dense({units: 4, useBias: false, inputShape: [4], name: 'hidden'})],
  });
  const peft = await upgrade(model, {targets: ['hidden'], adapter: {type: 'lora', rank: 4}, seed: 1});
  const kept = model.getWeights().map((weight) => weight.clone());
  peft.disable();
  const before = await predict(model);
  model.setWeights(kept);
  expect(await predict(model)).toEqual(before);
  const layer = model.layers[0]!;
  peft.enable();
  const own = layer.getWeights().map((weight) => weight.clone());
  peft.disable();
  layer.setWeights(own);
  expect(await predict(model)).toEqual(before);
});

test('a Sequential that was changed and compiled anew takes back what it gave', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: LORA, seed: 1});
  model.pop();
  model.add(tfl.layers.batchNormalization({name: 'norm'}));
  model.add(dense('new', 3, 9));
  compile(model);
  await train(model, 1);
  const kept = model.getWeights().map((weight) => weight.clone());
  const outputs = await predict(model);
  peft.disable();
  peft.enable();
  model.setWeights(kept);
  expect(await predict(model)).toEqual(outputs);
});

test.each([
  ['normalized', normalized],
  ['timeDistributed', timeDistributed],
] as const)(
  'a file of the whole model (%s) has all weights, whichever adapter was active',
  async (_, make) => {
    const model = make();
    const peft = await upgrade(model, {adapter: LORA, name: 'a', seed: 1});
    await upgrade(model, {adapter: LORA, name: 'b', seed: 2});
    await inEachState(peft, async () => {
      const again = await copy(model);
      const values = new Map(again.weights.map((weight) => [weight.originalName, weight.read().dataSync()]));
      expect(values.size).toBe(model.weights.length);
      for (const weight of model.weights)
        expect(values.get(weight.originalName)).toEqual(weight.read().dataSync());
      again.dispose();
    });
  },
);
