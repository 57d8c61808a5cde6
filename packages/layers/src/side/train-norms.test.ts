import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import {largestDifference} from '@tfjs-peft/testing/compare';
import {trainer} from '../graph.js';
import {attachSideNetwork, type GraphSideConfig, loadSideNetwork} from './attach.js';
import type {SidePeft} from './peft.js';
import {normedGraph, normedLayers, stir, X, Y} from './testing/models.js';

let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = mkdtempSync(join(tmpdir(), 'side-norms-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const BLOCK = {width: 4, heads: 2, hidden: 6, seed: 3} as const;
const predict = (model: tf.LayersModel | GraphModel, x: tf.Tensor) =>
  tf.tidy(() => Float32Array.from((model.predict(x) as tf.Tensor).dataSync()));

interface Kind<M extends tf.LayersModel | GraphModel> {
  make(): Promise<M>;
  config: GraphSideConfig;
  names: string[];
  attach(model: M, config: GraphSideConfig): Promise<SidePeft<M>>;
  /** Losses of some epochs. */
  fit(model: M, x: tf.Tensor, y: tf.Tensor): Promise<number[]>;
  weights(model: M): Float32Array[];
}

const layers: Kind<tf.LayersModel> = {
  make: async () => normedLayers(),
  config: {...BLOCK, taps: ['norm_1', 'norm_2', 'norm_3']},
  names: [1, 2, 3].flatMap((i) => [`norm_${i}.gamma`, `norm_${i}.beta`]),
  attach: (model, config) => attachSideNetwork(model, config),
  async fit(model, x, y) {
    model.compile({optimizer: tf.train.adam(0.02), loss: 'meanSquaredError'});
    return (await model.fit(x, y, {epochs: 16, verbose: 0, shuffle: false})).history.loss as number[];
  },
  weights: (model) => model.getWeights().map((weight) => weight.dataSync() as Float32Array),
};

const graph: Kind<GraphModel> = {
  make: () => normedGraph().load(),
  config: {...BLOCK, taps: [1, 2, 3].map((i) => `block_${i}/norm/out`)},
  names: [1, 2, 3].flatMap((i) => [`block_${i}/norm/gamma`, `block_${i}/norm/beta`]),
  attach: (model, config) => attachSideNetwork(model, config),
  async fit(model, xs, ys) {
    const optimizer = tf.train.adam(0.02);
    const training = trainer(model, {loss: 'meanSquaredError', optimizer});
    expect(training.preflight()).toEqual([]);
    const {history} = await training.fit({xs, ys}, {epochs: 16, shuffle: false, verbose: 0});
    training.dispose();
    optimizer.dispose();
    return history.loss as number[];
  },
  weights: (model) =>
    Object.values(model.weights)
      .flat()
      .map((weight) => weight.dataSync() as Float32Array),
};

const cases: [string, Kind<tf.LayersModel> | Kind<GraphModel>][] = [
  ['a LayersModel', layers],
  ['a GraphModel', graph],
];

describe.each(cases)('trainNorms of %s', (label, given) => {
  const kind = given as Kind<tf.LayersModel & GraphModel>;
  const config = {...kind.config, trainNorms: true};

  test('trains the norms, which come back when it is disabled, and go with it when it is removed', async () => {
    const model = await kind.make();
    const [x, y] = [X(8), Y(8)];
    const stock = predict(model, x);
    const before = kind.weights(model).map((weight) => weight.slice());
    const count = tf.memory().numTensors;
    const side = await kind.attach(model, config);
    const own = side.trainableVariables().slice(-6);
    expect(own.map(({shape}) => shape)).toEqual(Array(6).fill([8]));
    expect(largestDifference(predict(model, x), stock)).toBeLessThan(1e-6);
    const start = own.map((variable) => variable.dataSync().slice());
    const losses = await kind.fit(model, x, y);
    expect(losses.at(-1)!).toBeLessThan(0.8 * losses[0]!);
    for (const [i, variable] of own.entries())
      expect(largestDifference(variable.dataSync(), start[i]!)).toBeGreaterThan(1e-3);
    const trained = predict(model, x);
    side.disable();
    expect(predict(model, x)).toEqual(stock);
    expect(kind.weights(model)).toEqual(before);
    side.enable();
    expect(predict(model, x)).toEqual(trained);
    const norms = side.report().parts.find(({name}) => name === 'norms');
    expect(norms).toEqual({name: 'norms', trainable: 48});
    side.remove();
    expect(predict(model, x)).toEqual(stock);
    expect(kind.weights(model)).toEqual(before);
    if (label === 'a GraphModel') expect(tf.memory().numTensors).toBe(count);
  });

  test('its gradients are those of finite differences', async () => {
    const model = await kind.make();
    const side = await kind.attach(model, config);
    stir(side.trainableVariables());
    const [x, y] = [X(), Y()];
    const loss = () =>
      tf.tidy(() => tf.mean(tf.squaredDifference(model.predict(x) as tf.Tensor, y)).dataSync()[0]!);
    let gradients: tf.NamedTensorMap;
    const of = (outputs: tf.Tensor | tf.Tensor[]) =>
      tf.mean(tf.squaredDifference(outputs as tf.Tensor, y)) as tf.Scalar;
    if (label === 'a GraphModel') gradients = (await trainer(model).gradients(x, of)).grads;
    else
      gradients = tf.variableGrads(
        () => of(model.apply(x, {training: true}) as tf.Tensor),
        side.trainableVariables(),
      ).grads;
    for (const variable of side.trainableVariables().slice(-6)) {
      const gradient = gradients[variable.name]!;
      const size = tf.norm(gradient).dataSync()[0]!;
      expect(size).toBeGreaterThan(1e-4);
      const start = variable.clone();
      const at = (step: number) => {
        variable.assign(tf.add(start, tf.mul(gradient, step / size)));
        return loss();
      };
      const slope = (at(5e-3) - at(-5e-3)) / 1e-2;
      variable.assign(start);
      expect(Math.abs(slope - size)).toBeLessThan(0.05 * size + 1e-4);
    }
  });

  test('is saved and loaded with the network, whose base has its own norms', async () => {
    const model = await kind.make();
    const side = await kind.attach(model, config);
    stir(side.trainableVariables());
    const x = X();
    const want = predict(model, x);
    const place = join(folder, label);
    const {tensors} = await side.save(place);
    expect(tensors).toBe(side.trainableVariables().length);
    const other = await kind.make();
    const stock = predict(other, x);
    const loaded = await loadSideNetwork(other, place);
    expect(predict(other, x)).toEqual(want);
    loaded.disable();
    expect(predict(other, x)).toEqual(stock);
    loaded.remove();
    const plain = await kind.attach(other, kind.config);
    await expect(plain.load(place)).rejects.toThrow(/Load it with loadSideNetwork/);
  });

  test('tells how many bytes of the base a step holds', async () => {
    const held = async (trainNorms: boolean) => {
      const model = await kind.make();
      const side = await kind.attach(model, {...kind.config, trainNorms});
      expect(side.report().heldBytes).toBeNull();
      await kind.fit(model, X(8), Y(8));
      const {heldBytes} = side.report();
      expect(String(side.report())).toMatch(/last training step held [\d,]+ bytes of the base/);
      return heldBytes!;
    };
    const [frozen, trained] = [await held(false), await held(true)];
    // Three taps of 8 samples.
    expect(frozen).toBeGreaterThanOrEqual(3 * 8 * 5 * 8 * 4);
    expect(frozen).toBeLessThan(5 * 8 * 5 * 8 * 4);
    expect(trained).toBeGreaterThan(1.5 * frozen);
  });

  test('is refused without norms, and if it is no boolean', async () => {
    const model =
      label === 'a GraphModel'
        ? await normedGraph(3, {norms: false}).load()
        : normedLayers(3, {norms: false});
    const taps = label === 'a GraphModel' ? ['block_1/out', 'block_2/out'] : ['block_1', 'block_2'];
    const attach = (trainNorms: unknown) =>
      kind.attach(model as never, {...BLOCK, taps, trainNorms: trainNorms as boolean});
    await expect(attach(true)).rejects.toThrow(/trainNorms: .* has no layer norm with a gain or a shift/);
    await expect(attach('yes')).rejects.toThrow(/trainNorms is 'yes'/);
    (await attach(false)).remove();
  });
});

test('norms of a LayersModel in nested models, and behind the last tap, are trained', async () => {
  const inner = normedLayers(1);
  const encoder = tf.model({name: 'inner', inputs: inner.inputs, outputs: inner.getLayer('norm_1').output});
  const x = tf.input({shape: [5, 8], name: 'outer'});
  const mid = tf.layers.dense({name: 'mid', units: 8}).apply(encoder.apply(x)) as tf.SymbolicTensor;
  const last = tf.layers.layerNormalization({name: 'last'}).apply(mid) as tf.SymbolicTensor;
  const model = tf.model({inputs: x, outputs: tf.layers.flatten().apply(last) as tf.SymbolicTensor});
  const side = await attachSideNetwork(model, {...BLOCK, taps: ['inner', 'mid'], trainNorms: true});
  stir(side.trainableVariables());
  const own = side.trainableVariables().slice(-4);
  const {grads} = tf.variableGrads(
    () => tf.sum(tf.square(model.apply(X(), {training: true}) as tf.Tensor)) as tf.Scalar,
    own,
  );
  for (const variable of own) expect(tf.norm(grads[variable.name]!).dataSync()[0]!).toBeGreaterThan(1e-4);
});
