import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {largestDifference} from '@tfjs-peft/testing/compare';
import {loadPeft, upgrade} from '../index.js';
import {dense} from '../testing/models.js';
import {attachSideNetwork, loadSideNetwork, type SideConfig} from './attach.js';
import type {SidePeft} from './peft.js';

let folder: string;

beforeAll(() => tf.setBackend('cpu'));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'side-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));

type Symbolic = tf.SymbolicTensor;

/** Token ids through an embedding and three position-wise layers; the head's input is one row a sample. */
function encoder(maskZero = false): tf.LayersModel {
  const ids = tf.input({shape: [null], name: 'ids', dtype: 'int32'});
  const embedding = tf.layers.embedding({
    name: 'embedding',
    inputDim: 11,
    outputDim: 8,
    maskZero,
    embeddingsInitializer: tf.initializers.randomNormal({stddev: 0.5, seed: 9}),
  });
  let x = embedding.apply(ids) as Symbolic;
  for (const i of [1, 2, 3]) x = dense(`block_${i}`, 8, i, {activation: 'tanh'}).apply(x) as Symbolic;
  const pooled = tf.layers.globalAveragePooling1d({name: 'pool'}).apply(x) as Symbolic;
  return tf.model({inputs: ids, outputs: dense('head', 3, 4).apply(pooled) as Symbolic, name: 'encoder'});
}

function mlp(): tf.Sequential {
  return tf.sequential({
    name: 'mlp',
    layers: [
      dense('a', 6, 1, {inputShape: [5], activation: 'relu'}),
      dense('b', 6, 2, {activation: 'relu'}),
      dense('c', 6, 3, {activation: 'tanh'}),
      dense('head', 2, 4),
    ],
  });
}

const TAPS: SideConfig = {
  taps: ['embedding', 'block_1', 'block_2', 'block_3'],
  reduction: 2,
  heads: 2,
  hidden: 6,
  seed: 3,
};
const IDS = () =>
  tf.tensor2d(
    [
      [1, 2, 3, 0],
      [4, 5, 0, 0],
      [6, 7, 8, 9],
    ],
    [3, 4],
    'int32',
  );
const predict = (model: tf.LayersModel, x: tf.Tensor) => (model.predict(x) as tf.Tensor).dataSync();

/** Gives every weight of a network, `up` too, values of its own. */
function stir(variables: tf.Variable[]): void {
  for (const [i, variable] of variables.entries())
    tf.tidy(() =>
      variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.3, 'float32', i + 1))),
    );
}

test('at the start the outputs are the model’s own, then other ones, and its own again', async () => {
  const model = encoder();
  const x = IDS();
  const stock = predict(model, x);
  const side = await attachSideNetwork(model, TAPS);
  expect(predict(model, x)).toEqual(stock);
  stir(side.trainableVariables());
  const moved = predict(model, x);
  expect(largestDifference(moved, stock)).toBeGreaterThan(0.01);
  side.disable();
  expect(side.enabled).toBe(false);
  expect(predict(model, x)).toEqual(stock);
  side.enable();
  expect(predict(model, x)).toEqual(moved);
  side.remove();
  expect(predict(model, x)).toEqual(stock);
  expect(() => side.report()).toThrow(/was removed\. Call attachSideNetwork/);
});

test.each<[string, () => tf.LayersModel, SideConfig, () => tf.Tensor]>([
  ['of tokens', encoder, TAPS, IDS],
  [
    'of rows',
    mlp,
    {taps: ['a', 'b', 'c'], width: 4, heads: 2, seed: 1},
    () => tf.randomNormal([8, 5], 0, 1, 'float32', 1),
  ],
])('fit of a model %s trains the network alone, and lowers the loss', async (_what, make, config, inputs) => {
  const model = make();
  model.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
  const before = model.getWeights().map((weight) => weight.dataSync());
  const side = await attachSideNetwork(model, config);
  const x = inputs();
  const y = tf.randomNormal([x.shape[0]!, model.outputs[0]!.shape[1]!], 0, 1, 'float32', 5);
  const start = side.trainableVariables().map((variable) => variable.dataSync());
  const {history} = await model.fit(x, y, {epochs: 15, verbose: 0, shuffle: false});
  const losses = history.loss as number[];
  expect(losses.at(-1)!).toBeLessThan(0.7 * losses[0]!);
  expect(model.getWeights().map((weight) => weight.dataSync())).toEqual(before);
  const changed = side.trainableVariables().filter((v, i) => largestDifference(v.dataSync(), start[i]!) > 0);
  // All but the biases of keys, whose gradient is 0 but for rounding, move.
  expect(changed.length).toBeGreaterThan(0.9 * start.length);
});

test('the last layer of a Sequential can be the last tap; compiled at any time, the network is trained', async () => {
  const model = mlp();
  const x = tf.randomNormal([8, 5], 0, 1, 'float32', 1);
  const y = tf.randomNormal([8, 2], 0, 1, 'float32', 2);
  const stock = predict(model, x);
  const side = await attachSideNetwork(model, {taps: ['b', 'head'], width: 4, seed: 1});
  side.disable();
  model.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
  expect(predict(model, x)).toEqual(stock);
  side.enable();
  model.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
  const {history} = await model.fit(x, y, {epochs: 15, verbose: 0});
  expect(history.loss!.at(-1) as number).toBeLessThan(0.7 * (history.loss![0] as number));
  expect(largestDifference(predict(model, x), stock)).toBeGreaterThan(0.01);
  expect(model.layers.map(({name}) => name)).toEqual(['a', 'b', 'c', 'head']);
  side.disable();
  expect(predict(model, x)).toEqual(stock);
  side.remove();
  expect(predict(model, x)).toEqual(stock);
  expect(model.trainableWeights).toHaveLength(8);
  await model.fit(x, y, {verbose: 0});
  expect(largestDifference(predict(model, x), stock)).toBeGreaterThan(0);
});

test('behind the last tap, dropout drops and batch statistics stay', async () => {
  const model = tf.sequential({
    layers: [
      dense('a', 6, 1, {inputShape: [5]}),
      tf.layers.dropout({rate: 0.5, name: 'before'}),
      dense('b', 6, 2),
      tf.layers.batchNormalization({name: 'norm'}),
      dense('head', 2, 3),
    ],
  });
  const side = await attachSideNetwork(model, {taps: ['a', 'b'], width: 4, seed: 1});
  const x = tf.randomNormal([8, 5], 0, 1, 'float32', 1);
  // In front everything is in inference mode.
  const train = () => (model.apply(x, {training: true}) as tf.Tensor).dataSync();
  expect(train()).toEqual(predict(model, x));
  const statistics = model
    .getLayer('norm')
    .getWeights()
    .map((weight) => weight.dataSync());
  model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
  await model.fit(x, tf.ones([8, 2]), {epochs: 2, verbose: 0});
  expect(
    model
      .getLayer('norm')
      .getWeights()
      .map((weight) => weight.dataSync()),
  ).toEqual(statistics);
  side.remove();
});

test('the gradient tape has nothing of the base in front, whose values are gone after the step', async () => {
  const deep = (blocks: number) => {
    const layers = Array.from({length: blocks}, (_, i) => dense(`block_${i}`, 64, i, {activation: 'tanh'}));
    return tf.sequential({
      layers: [tf.layers.inputLayer({inputShape: [64]}), ...layers, dense('head', 2, 4)],
    });
  };
  const step = async (blocks: number) => {
    const model = deep(blocks);
    const taps = ['block_0', `block_${blocks - 1}`];
    const side = await attachSideNetwork(model, {taps, width: 4, heads: 1, hidden: 4, experts: 2, seed: 1});
    const x = tf.ones([256, 64]);
    let recorded: string[] = [];
    let touched: number[] = [];
    const base = new Set(model.layers.slice(1, -1).flatMap((l) => l.weights.map((w) => w.read().id)));
    const {peakBytes} = await tf.profile(() => {
      const {value, grads} = tf.variableGrads(() => {
        const y = model.apply(x, {training: true}) as tf.Tensor;
        const tape = tf.engine().state.activeTape!;
        recorded = tape.map(({kernelName}) => kernelName);
        touched = tape.flatMap(({inputs}) => Object.values(inputs).map(({id}) => id));
        return tf.mean(tf.square(y)) as tf.Scalar;
      }, side.trainableVariables());
      tf.dispose([value, grads]);
    });
    const known = tf.memory().numBytes;
    expect(touched.filter((id) => base.has(id))).toEqual([]);
    expect(recorded.length).toBeGreaterThan(5);
    side.remove();
    return {recorded, held: peakBytes - known};
  };
  const [shallow, tall] = [await step(3), await step(30)];
  expect(tall.recorded).toEqual(shallow.recorded);
  // Twenty-seven more layers, each of whose outputs takes 64 KB: they are not there at one time.
  expect(Math.abs(tall.held - shallow.held)).toBeLessThan(2 * 256 * 64 * 4);
});

test('what reads from the front besides the last tap still does, with its mask', async () => {
  const x = tf.input({shape: [4], name: 'x'});
  const a = dense('a', 6, 1).apply(x) as Symbolic;
  const b = dense('b', 6, 2).apply(a) as Symbolic;
  const sum = tf.layers.add({name: 'sum'}).apply([a, b]) as Symbolic;
  const model = tf.model({inputs: x, outputs: [dense('head', 3, 3).apply(sum) as Symbolic, a, b]});
  const given = tf.randomNormal([2, 4], 0, 1, 'float32', 3);
  const stock = (model.predict(given) as tf.Tensor[]).map((y) => y.dataSync());
  const side = await attachSideNetwork(model, {taps: ['a', 'b'], width: 4, seed: 1});
  const outputs = () => (model.predict(given) as tf.Tensor[]).map((y) => y.dataSync());
  expect(outputs()).toEqual(stock);
  stir(side.trainableVariables());
  const [head, first, last] = outputs();
  expect(largestDifference(head!, stock[0]!)).toBeGreaterThan(0.01);
  expect(first).toEqual(stock[1]);
  // The last tap is itself an output.
  expect(largestDifference(last!, stock[2]!)).toBeGreaterThan(0.01);
  side.remove();
  expect(outputs()).toEqual(stock);
});

test('masks: that of the model by itself, or of a layer that is named', async () => {
  const run = async (maskZero: boolean, mask?: string) => {
    const model = encoder(maskZero);
    const side = await attachSideNetwork(model, {...TAPS, salient: 'mean', ...(mask && {mask})});
    stir(side.trainableVariables());
    return predict(model, IDS());
  };
  const own = await run(true);
  expect(largestDifference(own, await run(false))).toBeGreaterThan(1e-4);
  expect(await run(false, 'ids')).toEqual(own);
});

test('maps of a convolution are tokens, and a nested model can be tapped', async () => {
  const conv = (name: string, filters: number, kernelSize: number) =>
    tf.layers.conv2d({name, filters, kernelSize, padding: 'same', activation: 'tanh'});
  const [inner, outer] = [tf.input({shape: [4, 4, 3]}), tf.input({shape: [4, 4, 3]})];
  const stage = tf.model({name: 'stage', inputs: inner, outputs: conv('in', 5, 3).apply(inner) as Symbolic});
  const last = conv('conv', 7, 1).apply(stage.apply(outer) as Symbolic) as Symbolic;
  const pooled = tf.layers.globalAveragePooling2d({name: 'pool', dataFormat: 'channelsLast'}).apply(last);
  const model = tf.model({inputs: outer, outputs: pooled as Symbolic});
  const x = tf.randomNormal([2, 4, 4, 3], 0, 1, 'float32', 2);
  const stock = predict(model, x);
  const side = await attachSideNetwork(model, {taps: ['stage', 'conv'], width: 4, salient: 'mean', seed: 1});
  expect(predict(model, x)).toEqual(stock);
  stir(side.trainableVariables());
  expect(largestDifference(predict(model, x), stock)).toBeGreaterThan(0.001);
});

test('saved and loaded, it computes the same; into another base, or other options, it does not go', async () => {
  const model = encoder();
  const x = IDS();
  const side = await attachSideNetwork(model, {...TAPS, combine: 'lst', mask: 'ids'});
  stir(side.trainableVariables());
  const want = predict(model, x);
  const {files, tensors} = await side.save(join(folder, 'side'));
  expect(files).toHaveLength(3);
  expect(tensors).toBe(side.trainableVariables().length);
  expect(readFileSync(join(folder, 'side', 'README.md'), 'utf8')).toContain('await loadSideNetwork(model');

  const other = encoder();
  const loaded = await loadSideNetwork(other, join(folder, 'side'));
  expect(predict(other, x)).toEqual(want);
  expect(loaded.report()).toMatchObject({taps: TAPS.taps, config: {combine: 'lst', width: 4}});
  stir(loaded.trainableVariables());
  await loaded.load(join(folder, 'side'));
  expect(predict(other, x)).toEqual(want);
  loaded.remove();

  const plain = await attachSideNetwork(other, TAPS);
  await expect(plain.load(join(folder, 'side'))).rejects.toThrow(/but the side network is .*loadSideNetwork/);
  plain.remove();
  const changed = encoder();
  changed.getLayer('block_2').weights[0]!.write(tf.ones([8, 8]));
  const before = predict(changed, x);
  await expect(loadSideNetwork(changed, join(folder, 'side'))).rejects.toThrow(
    /saved with other base weights/,
  );
  expect(predict(changed, x)).toEqual(before);
  await loadSideNetwork(changed, join(folder, 'side'), {ignoreBase: true});
  expect(largestDifference(predict(changed, x), before)).toBeGreaterThan(0.01);

  await expect(loadPeft(encoder(), join(folder, 'side'))).rejects.toThrow(/side-network/);
  const peft = await upgrade(encoder(), {adapter: {type: 'lora', rank: 1}});
  await peft.save(join(folder, 'lora'));
  await expect(loadSideNetwork(encoder(), join(folder, 'lora'))).rejects.toThrow(
    /'lora'. Load it with loadPeft/,
  );
});

test('the model’s own file, weights and counts are the base’s', async () => {
  const model = encoder();
  const [count, weights] = [model.countParams(), model.getWeights().length];
  const side = await attachSideNetwork(model, TAPS);
  stir(side.trainableVariables());
  expect([model.countParams(), model.getWeights().length]).toEqual([count, weights]);
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    }),
  );
  const again = await tf.loadLayersModel(tf.io.fromMemory(saved!));
  expect(predict(again, IDS())).toEqual(predict(encoder(), IDS()));
  expect(side.report()).toMatchObject({base: count});
  model.setWeights(model.getWeights());
});

test('removed, the model is as it was, optimizer and frozen layers too, and no tensor is left', async () => {
  const model = mlp();
  model.layers[0]!.trainable = false;
  model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
  const {optimizer} = model;
  predict(model, tf.ones([1, 5]));
  const state = () => ({
    trainable: model.trainableWeights.map(({name}) => name),
    weights: model.weights.map(({name}) => name),
    bits: model.weights.map(({trainable}) => trainable),
    uses: model.layers.map((layer) => [layer.inboundNodes.length, layer.outboundNodes.length]),
    keys: Object.keys(model).sort(),
  });
  const before = state();
  const tensors = tf.memory().numTensors;
  const side = await attachSideNetwork(model, {taps: ['a', 'b', 'c'], seed: 1});
  expect(model.trainableWeights).toHaveLength(side.trainableVariables().length);
  await model.fit(tf.ones([4, 5]), tf.ones([4, 2]), {verbose: 0});
  side.remove();
  expect(tf.memory().numTensors).toBe(tensors + 2); // x and y
  expect(state()).toEqual(before);
  expect(model.optimizer).toBe(optimizer);
});

test('the network goes with the model', async () => {
  const before = tf.memory().numTensors;
  const model = encoder();
  const side = await attachSideNetwork(model, TAPS);
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(() => side.enable()).toThrow(/The model is disposed/);
});

test('a model has one side network, and no adapter beside it', async () => {
  const model = encoder();
  const side = await attachSideNetwork(model, TAPS);
  await expect(attachSideNetwork(model, TAPS)).rejects.toThrow(/has a side network.*remove\(\)/);
  await expect(upgrade(model, {adapter: {type: 'lora'}})).rejects.toThrow(/has a side network/);
  side.remove();
  const peft = await upgrade(model, {adapter: {type: 'lora'}});
  await expect(attachSideNetwork(model, TAPS)).rejects.toThrow(/has adapters\. Call detach\(\)/);
  peft.detach();
  (await attachSideNetwork(model, TAPS)).remove();
});

test('the report counts each part', async () => {
  const side = await attachSideNetwork(mlp(), {taps: ['a', 'b'], width: 4, heads: 1, hidden: 3, experts: 2});
  const block = 6 * 4 + 4 + 2 * (4 * 4 + 4) + 4 * 4 + (4 * 2 + 2 * 6 + 2 * (4 * 3 + 3 + 3 * 4 + 4));
  const parts = [
    {name: 'down0', trainable: 6 * 4 + 4},
    {name: 'block1', trainable: block},
    {name: 'up', trainable: 4 * 6 + 6},
  ];
  const trainable = parts.reduce((sum, part) => sum + part.trainable, 0);
  const base = 36 + 42 + 42 + 14;
  expect(side.report()).toMatchObject({parts, trainable, base, total: base + trainable});
  expect(String(side.report())).toMatch(/block1 +\d+\n.*up +30\n\d+ of \d+ parameters are trained \(/s);
});

test.each<[string, SideConfig, RegExp]>([
  ['taps', {taps: 'a' as unknown as string[]}, /taps is 'a', but must be a list/],
  ['an unknown layer', {taps: ['a', 'z']}, /no layer 'z'.*Use one of: 'a_input', 'a', 'b', 'c', 'head'/],
  ['their order', {taps: ['c', 'a']}, /'c' is not in front of the last tap, 'a'/],
  ['one twice', {taps: ['a', 'a']}, /'a' is not in front of the last tap/],
  ['one tap', {taps: ['a']}, /set init to 'none'/],
  ['an option', {taps: ['a', 'b'], rank: 3} as SideConfig, /unknown option 'rank'/],
  ['the seed', {taps: ['a', 'b'], seed: 0.5}, /seed is 0\.5\. Set seed to a whole number/],
  ['the mask', {taps: ['a', 'b'], mask: 'm'}, /mask: the model has no layer 'm'/],
])('%s: an error, and the model is unchanged', async (_what, config, message) => {
  const model = mlp();
  predict(model, tf.ones([1, 5]));
  const [keys, tensors] = [Object.keys(model).sort(), tf.memory().numTensors];
  await expect(attachSideNetwork(model, config)).rejects.toThrow(message);
  expect(Object.keys(model).sort()).toEqual(keys);
  expect(tf.memory().numTensors).toBe(tensors);
  expect(model.trainableWeights).toHaveLength(8);
  model.dispose();
});

test('layers inside others are refused by name, and those of a nested model are tapped in that model', async () => {
  const inner = tf.sequential({
    name: 'inner',
    layers: [dense('a', 6, 1, {inputShape: [4, 3]}), dense('b', 6, 2, {activation: 'tanh'})],
  });
  const x = tf.input({shape: [4, 3], name: 'x'});
  const shared = dense('shared', 6, 3);
  const step = dense('step', 6, 4);
  const each = tf.layers.timeDistributed({name: 'each', layer: step}).apply(inner.apply(x)) as Symbolic;
  const twice = shared.apply(shared.apply(each)) as Symbolic;
  const pooled = tf.layers.globalAveragePooling1d({name: 'pool'}).apply(twice) as Symbolic;
  const model = tf.model({inputs: x, outputs: dense('head', 2, 5).apply(pooled) as Symbolic});
  const attach = (...taps: string[]) => attachSideNetwork(model, {taps, width: 4, seed: 1});
  for (const name of ['a', 'inner/a', 'inner/b'])
    await expect(attach(name, 'each')).rejects.toThrow(
      `'${name}' is inside 'inner'. Name 'inner', or call attachSideNetwork with that model alone: ` +
        `model.getLayer('inner').`,
    );
  await expect(attach('inner', 'step')).rejects.toThrow(
    "'step' is inside 'each' (TimeDistributed). Name 'each', whose output it gives.",
  );
  await expect(attach('each', 'shared')).rejects.toThrow("'shared' is used 2 times in the model");
  (await attach('inner', 'each')).remove();

  const given = tf.randomNormal([3, 4, 3], 0, 1, 'float32', 1);
  const stock = predict(model, given);
  const part = model.getLayer('inner') as tf.layers.Layer as unknown as tf.LayersModel;
  const side = await attachSideNetwork(part, {taps: ['a', 'b'], width: 4, seed: 1});
  expect(predict(model, given)).toEqual(stock);
  for (const layer of [shared, step, model.getLayer('head')]) layer.trainable = false;
  expect(model.trainableWeights).toHaveLength(side.trainableVariables().length);
  model.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
  const {history} = await model.fit(given, tf.ones([3, 2]), {epochs: 20, verbose: 0});
  expect(history.loss!.at(-1) as number).toBeLessThan(0.7 * (history.loss![0] as number));
  side.remove();
  expect(predict(model, given)).toEqual(stock);
});

test('callers without types are told that there is no context', async () => {
  const side = await attachSideNetwork(mlp(), {taps: ['a', 'b']});
  const untyped = side as SidePeft & {
    contextFrom(...args: unknown[]): void;
    setContext(context: object): void;
  };
  expect(() => untyped.contextFrom('a', () => ({}))).toThrow(/A side network has no context/);
  expect(() => untyped.setContext({task: 1})).toThrow(/A side network has no context/);
});

test('what is no model, and places of other sizes, are refused', async () => {
  await expect(attachSideNetwork({} as tf.LayersModel, TAPS)).rejects.toThrow(/Pass a LayersModel from/);
  const x = tf.input({shape: [8, 8, 2]});
  const conv = (name: string, strides: number) =>
    tf.layers.conv2d({name, filters: 3, kernelSize: 2, strides});
  const small = conv('two', 2).apply(conv('one', 1).apply(x)) as Symbolic;
  const model = tf.model({inputs: x, outputs: small});
  await expect(attachSideNetwork(model, {taps: ['one', 'two']})).rejects.toThrow(
    /numbers of tokens differ: 'one' 49, 'two' 9\./,
  );
});
