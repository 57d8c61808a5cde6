import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, type Peft, upgrade} from '../index.js';
import {exportPlain, merge, unmerge} from '../merge.js';
import {inputOf, SITE_CASES, type SiteCase} from '../testing/layer-sites.js';
import {MODELS, predict, SITE_MODELS, snapshot} from '../testing/models.js';
import {normal} from '../testing/sites.js';

const fixed = (...gates: number[]) => ({type: 'fixed', gates}) as const;

/** Adapters that only change the kernel. */
const KERNELS: AdapterConfig[] = [
  {type: 'lora', rank: 2, alpha: 3},
  {type: 'lora', rank: 2, alpha: -1, useRslora: true, dropout: 0.5},
  {type: 'lora-fa', rank: 2},
  {type: 'dora', rank: 2},
  {type: 'vera', rank: 3},
  {type: 'molora', experts: 3, rank: 2, router: fixed(0.5, -1, 2)},
];

/** Adapters that scale the output before its activation. */
const SCALES: AdapterConfig[] = [
  {type: 'ia3', position: 'before-activation'},
  {type: 'mov', experts: 2, position: 'before-activation', router: fixed(0.3, 0.7)},
];

const BEHIND: AdapterConfig[] = [{type: 'ia3'}, {type: 'mov', experts: 2, router: fixed(0.3, 0.7)}];

const LORA: AdapterConfig = {type: 'lora', rank: 2};

/** A model of one layer. */
function modelOf({make, inputShape}: SiteCase): tf.LayersModel {
  const x = tf.input({shape: inputShape});
  return tf.model({inputs: x, outputs: make().apply(x) as tf.SymbolicTensor});
}

/** Moves all weights of the active adapter away from where they started. */
function disturb(peft: Peft): void {
  peft.trainableVariables().forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.add(variable, tf.mul(normal(variable.shape, 20 + i), 0.3))));
  });
}

/** A stock layer whose file does not load in stock tfjs: its config leaves out its depthMultiplier. */
const FORGETFUL = 'separable conv2d';

/** A model of stock layers whose file does not load in stock tfjs: it lists a layer twice. */
const LISTING_TWICE = 'reused';

/** The file of a plain model, as stock tfjs loads it. */
async function exported(
  peft: Peft,
  name?: string,
): Promise<{load: () => Promise<tf.LayersModel>; topology: unknown}> {
  let artifacts!: tf.io.ModelArtifacts;
  await exportPlain(
    peft,
    tf.io.withSaveHandler(async (saved) => {
      artifacts = saved;
      return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
    }),
    name === undefined ? {} : {name},
  );
  const topology = JSON.parse(JSON.stringify(artifacts.modelTopology)) as object;
  const load = () => tf.loadLayersModel(tf.io.fromMemory({...artifacts, modelTopology: topology}));
  return {load, topology};
}

function deviation(a: tf.Tensor, b: tf.Tensor): number {
  return tf.tidy(() => tf.div(tf.max(tf.abs(tf.sub(a, b))), tf.maximum(tf.max(tf.abs(b)), 1)).dataSync()[0]!);
}

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  describe.each(SITE_CASES)('a $name', (site) => {
    const adapters = [...(site.scaling ? [] : KERNELS), ...SCALES];
    test.each(adapters)(
      'has the outputs of its adapter when it is merged, and as a plain model, %j',
      async (adapter) => {
        const model = modelOf(site);
        const stock = model.toJSON(null, false);
        const peft = await upgrade(model, {targets: () => true, adapter, seed: 3});
        disturb(peft);
        const x = inputOf(site);
        const want = model.predict(x) as tf.Tensor;
        const before = snapshot(model);

        const {load, topology} = await exported(peft);
        if (site.name !== FORGETFUL)
          expect(deviation((await load()).predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);
        expect(topology).toEqual(stock);
        expect(snapshot(model)).toEqual(before);

        expect(await merge(peft)).toHaveLength(1);
        expect(peft.active).toBe(null);
        expect(deviation(model.predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);

        await unmerge(peft);
        expect(snapshot(model)).toEqual(before);
        expect((model.predict(x) as tf.Tensor).dataSync()).toEqual(want.dataSync());
      },
    );
  });

  test.each(BEHIND)(
    'what scales the output of an activation is refused, and exact without one: %j',
    async (adapter) => {
      for (const activation of ['relu', 'linear'] as const) {
        const model = tf.sequential({
          layers: [tf.layers.dense({name: 'one', units: 3, inputShape: [4], activation})],
        });
        const peft = await upgrade(model, {targets: ['one'], adapter, seed: 1});
        disturb(peft);
        const x = normal([5, 4], 2);
        const want = model.predict(x) as tf.Tensor;
        const before = snapshot(model);
        if (activation === 'relu') {
          await expect(merge(peft)).rejects.toThrow(/Layer 'one' cannot be merged: .* activation/);
          await expect(exported(peft)).rejects.toThrow(/Layer 'one' cannot be merged: .* activation/);
          expect(snapshot(model)).toEqual(before);
          expect(peft.active).toBe('default');
        } else {
          await merge(peft);
        }
        expect(deviation(model.predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);
      }
    },
  );
});

describe('models', () => {
  beforeAll(() => tf.setBackend('cpu'));

  test.each([true, false])('LoRA’s own bias goes into the layer’s, useBias %s', async (useBias) => {
    const model = tf.sequential({
      layers: [tf.layers.dense({name: 'one', units: 5, inputShape: [4], useBias})],
    });
    const peft = await upgrade(model, {adapter: {...LORA, loraBias: true}, seed: 1});
    disturb(peft);
    const x = normal([3, 4], 2);
    const want = model.predict(x) as tf.Tensor;
    if (useBias) {
      await merge(peft);
      expect(deviation(model.predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);
    } else {
      await expect(merge(peft)).rejects.toThrow(/the adapter needs a bias, but the layer has none/);
    }
  });

  test.each(Object.entries({...MODELS, ...SITE_MODELS}))(
    '%s is merged, exported, and comes back',
    async (name, make) => {
      const model = make();
      const base = await predict(model);
      const peft = await upgrade(model, {targets: 'all-projections', adapter: LORA, seed: 2});
      disturb(peft);
      const want = await predict(model);
      const {load} = await exported(peft);
      const close = (got: Float32Array) =>
        got.forEach((value, i) => {
          expect(value).toBeCloseTo(want[i]!, 4);
        });
      if (name !== LISTING_TWICE) close(await predict(await load()));
      await merge(peft);
      close(await predict(model));
      await unmerge(peft);
      expect(await predict(model)).toEqual(want);
      peft.detach();
      expect(await predict(model)).toEqual(base);
    },
  );

  const small = () =>
    tf.sequential({
      layers: [
        tf.layers.dense({name: 'one', units: 5, inputShape: [4], activation: 'tanh'}),
        tf.layers.dense({name: 'head', units: 3}),
      ],
    });

  test('what an adapter trains in full is merged and exported with it', async () => {
    const model = small();
    const peft = await upgrade(model, {targets: ['one'], adapter: LORA, alsoTrain: ['head'], seed: 1});
    model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const [x, y] = [normal([8, 4], 1), normal([8, 3], 2)];
    const bases = snapshot(model);
    await model.fit(x, y, {epochs: 3, verbose: 0});
    const want = model.predict(x) as tf.Tensor;
    const {load} = await exported(peft);
    expect(deviation((await load()).predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);
    await merge(peft);
    expect(deviation(model.predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);
    await unmerge(peft);
    expect((model.predict(x) as tf.Tensor).dataSync()).toEqual(want.dataSync());
    // And trains on, with the optimizer's moments.
    await model.fit(x, y, {epochs: 1, verbose: 0});
    peft.disable();
    const kernels = (all: typeof bases) =>
      all.filter(({name}) => name === 'one/kernel').map(({bytes}) => bytes);
    expect(kernels(snapshot(model))).toEqual(kernels(bases));
    peft.detach();
  });

  test('one adapter of several is merged by name; until it is unmerged, the adapters cannot be changed', async () => {
    const model = small();
    const peft = await upgrade(model, {targets: ['one'], adapter: LORA, name: 'a', seed: 1});
    disturb(peft);
    const x = normal([8, 4], 1);
    const wanted = model.predict(x) as tf.Tensor;
    await upgrade(model, {targets: ['head'], adapter: LORA, name: 'b', seed: 2});
    await merge(peft, {name: 'a'});
    expect(deviation(model.predict(x) as tf.Tensor, wanted)).toBeLessThan(1e-5);
    const sentence = /Adapter 'a' is merged into the model\. Call unmerge\(peft\)/;
    for (const change of [
      () => peft.enable('b'),
      () => peft.disable(),
      () => peft.detach(),
      () => peft.remove('a'),
    ])
      expect(change).toThrow(sentence);
    for (const call of [
      () => merge(peft),
      () => exported(peft),
      () => peft.save(tf.io.withSaveHandler(async () => ({}) as never)),
      () => upgrade(model, {targets: ['one'], adapter: LORA, name: 'c'}),
    ])
      await expect(call()).rejects.toThrow(sentence);
    await unmerge(peft);
    expect(peft.active).toBe('a');
    await expect(unmerge(peft)).rejects.toThrow(/no adapter is merged/);
  });

  test('merged for good, the model keeps the weights and has no adapter', async () => {
    const model = small();
    const tensors = tf.memory().numTensors;
    const peft = await upgrade(model, {targets: ['one'], adapter: LORA, seed: 1});
    disturb(peft);
    const x = normal([8, 4], 1);
    const want = model.predict(x) as tf.Tensor;
    await merge(peft, {detach: true});
    expect(deviation(model.predict(x) as tf.Tensor, want)).toBeLessThan(1e-5);
    expect(() => peft.enable()).toThrow(/was detached/);
    expect(model.layers[0]!.getClassName()).toBe('Dense');
    tf.dispose([x, want]);
    // The two outputs of predict.
    expect(tf.memory().numTensors - tensors).toBeLessThanOrEqual(1);
    await upgrade(model, {targets: ['one'], adapter: LORA, seed: 1});
  });

  test('a disposed model takes its merged weights with it', async () => {
    const tensors = tf.memory().numTensors;
    const model = small();
    const peft = await upgrade(model, {targets: ['one'], adapter: LORA, seed: 1});
    await merge(peft);
    model.dispose();
    expect(tf.memory().numTensors).toBe(tensors);
    await expect(unmerge(peft)).rejects.toThrow(/is disposed/);
  });

  test('weights that are not finite, and gates that depend on the input, are refused', async () => {
    const model = small();
    const peft = await upgrade(model, {targets: ['one'], adapter: LORA, seed: 1});
    const [variable] = peft.trainableVariables();
    variable!.assign(tf.fill(variable!.shape, Number.NaN));
    const before = snapshot(model);
    await expect(merge(peft)).rejects.toThrow(/Layer 'one'/);
    expect(snapshot(model)).toEqual(before);
    peft.detach();
    const mixture: AdapterConfig = {type: 'molora', experts: 2, rank: 2};
    const mixed = await upgrade(model, {targets: ['one'], adapter: mixture, seed: 1});
    await expect(merge(mixed)).rejects.toThrow(/its gates depend on the input/);
    await expect(merge({} as never)).rejects.toThrow(
      /merge: peft is .*Pass what upgrade or loadPeft returned/,
    );
  });
});
