import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ConfigError} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  defineRouter,
  type Router,
  type RouterConfig,
  type RouterView,
  type Weight,
} from '@tfjs-peft/routers';
import {escapeName} from '../../core/sites/adapter-slot.js';
import {type AdapterConfig, type AdapterRouterConfig, PeftDense, type SavedAdapter} from '../../index.js';
import {ADAPTERS, disturb, dropIn, normal, reloaded} from '../../testing/sites.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

function peftDense(
  name: string,
  adapters: Record<string, AdapterConfig>,
  active: string | null,
  extra = {},
): PeftDense {
  const layer = new PeftDense({units: 4, activation: 'tanh', name, ...extra});
  for (const [adapter, config] of Object.entries(adapters)) layer.addAdapter(adapter, config);
  layer.activate(active);
  return layer;
}

/**
 * Reloads the model and holds the copy against it: outputs bit for bit, names
 * and trainability of all weights.
 */
async function expectSameAfterReload(model: tf.LayersModel, x: tf.Tensor): Promise<tf.LayersModel> {
  const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
  const facts = (m: tf.LayersModel) =>
    m.weights.map(({originalName, shape, trainable}) => ({originalName, shape, trainable}));
  expect(facts(copy)).toEqual(facts(model));
  const names = (m: tf.LayersModel) => m.trainableWeights.map(({originalName}) => originalName);
  expect(names(copy)).toEqual(names(model));
  const y = model.predict(x) as tf.Tensor;
  expect(await (copy.predict(x) as tf.Tensor).data()).toEqual(await y.data());
  return copy;
}

function layersOf(model: tf.LayersModel): PeftDense[] {
  return model.layers.filter((layer): layer is PeftDense => layer instanceof PeftDense);
}

describe('model.save and tf.loadLayersModel', () => {
  it.each(ADAPTERS)('bring back a drop-in layer, $type', async (config) => {
    const layer = dropIn(config, {units: 4, activation: 'relu', inputShape: [3]});
    const model = tf.sequential({layers: [layer, tf.layers.dense({units: 2})]});
    disturb(layer, 'default');
    const copy = await expectSameAfterReload(model, normal([5, 3], 1));
    const [loaded] = layersOf(copy);
    expect(loaded!.activeAdapter).toBe('default');
    expect(loaded!.adapterConfig('default')).toEqual(layer.adapterConfig('default'));
  });

  it('survive hostile names of layers and adapters', async () => {
    const hostile = [
      'my Task_1/École',
      '__proto__',
      'lora_A',
      'default',
      'a.b',
      'a.2e.b',
      '日本 語',
      '"quoted\\"',
      'kernel',
    ];
    const adapters = Object.fromEntries(
      hostile.map((name, i): [string, AdapterConfig] => [name, ADAPTERS[i % ADAPTERS.length]!]),
    );
    // A literal's __proto__ would set the prototype, so the pairs come from fromEntries and are counted.
    expect(Object.keys(adapters)).toHaveLength(hostile.length);
    const names = ['block_1/Dense_A', 'block_1/Dense', 'block_1', 'Dense_A', 'a', 'ab'];
    const input = tf.input({shape: [4]});
    let x: tf.SymbolicTensor = input;
    for (const [i, name] of names.entries()) {
      const layer = peftDense(name, adapters, hostile[i]!);
      x = layer.apply(x) as tf.SymbolicTensor;
      for (const adapter of hostile) disturb(layer, adapter, i);
    }
    const model = tf.model({inputs: input, outputs: x});
    expect(new Set(model.weights.map(({originalName}) => originalName)).size).toBe(model.weights.length);
    const copy = await expectSameAfterReload(model, normal([5, 4], 1));
    for (const [i, layer] of layersOf(copy).entries()) {
      expect(layer.name).toBe(names[i]);
      expect(layer.adapterNames).toEqual(hostile);
      expect(layer.activeAdapter).toBe(hostile[i]);
      for (const adapter of hostile) {
        expect(layer.adapterConfig(adapter)).toEqual(layersOf(model)[i]!.adapterConfig(adapter));
      }
    }
  });

  it('keep every option of an adapter as it was written', async () => {
    const config: AdapterConfig = {
      type: 'mov',
      experts: 5,
      position: 'before-activation',
      form: 'paper',
      heads: 1,
      router: {type: 'softmax', topK: 2, temperature: 0.7, renormalize: true},
    };
    const model = tf.sequential({
      layers: [peftDense('site', {default: config}, 'default', {inputShape: [3]})],
    });
    const copy = await expectSameAfterReload(model, normal([5, 3], 1));
    expect(layersOf(copy)[0]!.adapterConfig('default')).toEqual(config);
  });

  it('bring back a router of the user’s own with its weights', async () => {
    class Sigmoid implements Router {
      private kernel!: Weight;
      constructor(readonly experts: number) {}
      build(inputDim: number, add: AddWeight) {
        this.kernel = add('opening', [inputDim, this.experts], {type: 'normal', stddev: 0.5});
      }
      route({input}: RouterView) {
        const gates = tf.sigmoid(tf.matMul(input as tf.Tensor2D, this.kernel.read() as tf.Tensor2D));
        return {gates, probabilities: gates};
      }
      getConfig() {
        return {type: 'Own_Sigmoid', experts: this.experts} as unknown as RouterConfig;
      }
    }
    defineRouter({type: 'Own_Sigmoid', create: ({experts}) => new Sigmoid(experts)});
    const router = {type: 'Own_Sigmoid'} as unknown as AdapterRouterConfig;
    const layer = peftDense('site', {default: {type: 'molora', experts: 2, rank: 1, router}}, 'default', {
      inputShape: [3],
    });
    const model = tf.sequential({layers: [layer]});
    disturb(layer, 'default');
    const copy = await expectSameAfterReload(model, normal([5, 3], 1));
    expect([...layersOf(copy)[0]!.adapterWeights('default').keys()]).toContain('opening');
  });

  it('work without an active adapter, without a bias, and with a trainable base', async () => {
    const layers = [
      peftDense('first', {default: {type: 'lora'}}, null, {inputShape: [3]}),
      peftDense('second', {}, null, {useBias: false}),
      peftDense('third', {default: {type: 'ia3'}}, 'default', {trainableBase: true}),
    ];
    const model = tf.sequential({layers});
    const copy = await expectSameAfterReload(model, normal([5, 3], 1));
    expect(copy.trainableWeights).toHaveLength(3);
  });

  it.each(['gelu_new', 'hardSigmoid', 'logSoftmax', 'relu6'])(
    'keep the activation %s',
    async (activation) => {
      const layer = peftDense('site', {default: {type: 'mov'}}, 'default', {inputShape: [3], activation});
      const model = tf.sequential({layers: [layer]});
      disturb(layer, 'default');
      await expectSameAfterReload(model, normal([5, 3], 1));
    },
  );

  it('keep trainable: false', async () => {
    const model = tf.sequential({
      layers: [peftDense('site', {default: {type: 'lora'}}, 'default', {inputShape: [3]})],
    });
    model.layers[0]!.trainable = false;
    const copy = await expectSameAfterReload(model, normal([5, 3], 1));
    expect(copy.trainableWeights).toHaveLength(0);
    expect(layersOf(copy)[0]!.activeAdapter).toBe('default');
  });

  it('work in TimeDistributed, in nested models and for shared layers', async () => {
    const config: AdapterConfig = {type: 'molora', experts: 2, rank: 1};
    const inner = tf.sequential({name: 'inner'});
    inner.add(peftDense('site', {default: config}, 'default', {inputShape: [3, 4]}));
    const shared = peftDense('shared', {default: config}, 'default');
    const timed = tf.layers.timeDistributed({
      layer: peftDense('timed_site', {default: config}, 'default'),
      name: 'timed',
    });
    const input = tf.input({shape: [3, 4]});
    const once = shared.apply(inner.apply(input)) as tf.SymbolicTensor;
    const model = tf.model({inputs: input, outputs: timed.apply(shared.apply(once)) as tf.SymbolicTensor});
    expect(shared.inboundNodes).toHaveLength(2);
    for (const variable of model.weights)
      variable.write(normal(variable.shape as number[], variable.shape.length));
    await expectSameAfterReload(model, normal([2, 3, 4], 1));
    expect(model.trainableWeights).toHaveLength(9);
  });

  it('bring back adapters that were added after the layer was built', async () => {
    const model = tf.sequential({layers: [peftDense('site', {}, null, {inputShape: [3]})]});
    const [layer] = layersOf(model);
    layer!.addAdapter('late one', {type: 'lora', rank: 2}, 4);
    layer!.activate('late one');
    disturb(layer!, 'late one');
    await expectSameAfterReload(model, normal([5, 3], 1));
  });
});

describe('saved adapters', () => {
  it.each(['', '{}', '[]', 'null', '{"adapter": 1, "active": true, "config": {}}'])('refuse %p', (name) => {
    expect(() => new PeftDense({units: 2, adapters: [{name}]})).toThrow(ConfigError);
  });

  it.each([null, 3, 'text', [], {}])('refuse %p in place of an adapter', (saved) => {
    const adapters = [saved] as unknown as SavedAdapter[];
    expect(() => new PeftDense({units: 2, adapters})).toThrow(ConfigError);
  });

  it('refuse configs that are not good', () => {
    const saved = {adapter: 'default', active: true, config: {type: 'lora', rank: -1}};
    expect(() => new PeftDense({units: 2, adapters: [{name: JSON.stringify(saved)}]})).toThrow(/rank is -1/);
  });

  it('have names that stay different in weight names', () => {
    const names = [
      'a.b',
      'a.2e.b',
      'a/b',
      'a b',
      'a_b',
      'a-b',
      '日',
      'x日',
      'x.日',
      '.',
      '_',
      'x_',
      'x._',
      '-1',
      '😀',
    ];
    const escaped = names.map(escapeName);
    expect(new Set(escaped).size).toBe(names.length);
    for (const name of escaped) expect(name).toMatch(/^[A-Za-z0-9][-A-Za-z0-9._/]*$/);
  });
});
