import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ConfigError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {
  type AdapterConfig,
  adapted,
  adapterDefinitions,
  doraDense,
  ia3Dense,
  limeDense,
  loraDense,
  loraFaDense,
  moloraDense,
  mor1eDense,
  movDense,
  PeftDense,
  PeftWrapper,
} from '../../index.js';
import {ADAPTERS, scalesOnly} from '../../testing/adapters.js';
import {inputOf, SITE_CASES, type SiteCase} from '../../testing/layer-sites.js';
import {disturb, reloaded} from '../../testing/sites.js';

const FACTORIES = {doraDense, ia3Dense, limeDense, loraDense, loraFaDense, moloraDense, mor1eDense, movDense};

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const valuesOf = (model: tf.LayersModel, x: tf.Tensor) => (model.predict(x) as tf.Tensor).arraySync();

/** A layer of the case as its own config makes it: that of a stock SeparableConv2D lacks depthMultiplier. */
function remade(site: SiteCase): tf.layers.Layer {
  const stock = site.make();
  const stockClass = stock.constructor as typeof PeftWrapper;
  return stockClass.fromConfig(stockClass as never, stock.getConfig());
}

describe.each(SITE_CASES)('adapted $name', (site) => {
  it('starts as the stock layer, trains its adapter alone, and comes back with the model', async () => {
    const adapter = ADAPTERS.find((config) => !site.scaling || scalesOnly(config))!;
    const input = () =>
      tf.input({shape: site.inputShape, dtype: site.input === undefined ? 'float32' : 'int32'});
    const stock = remade(site);
    const layer = adapted(remade(site), adapter, {seed: 2, adapterName: 'mine'});
    expect(layer).toBeInstanceOf(stock.getClassName() === 'Dense' ? PeftDense : PeftWrapper);
    const [plain, model] = [stock, layer].map((each) => {
      const x = input();
      return tf.model({inputs: x, outputs: each.apply(x) as tf.SymbolicTensor});
    }) as [tf.LayersModel, tf.LayersModel];
    plain.setWeights(layer.base.map((weight) => weight.read()));
    const x = inputOf(site);
    const [want, got] = [plain, model].map((each) => tf.tensor(valuesOf(each, x) as number[]));
    expect(tf.max(tf.abs(tf.sub(want!, got!))).dataSync()[0]).toBeLessThan(1e-5);
    expect(layer.activeAdapter).toBe('mine');
    expect(model.trainableWeights.length).toBe(layer.adapterWeights('mine').size);
    disturb(layer, 'mine');
    const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
    expect(valuesOf(copy, x)).toEqual(valuesOf(model, x));
  });
});

it('keeps the layer’s name and input shape, so that it may come first in a Sequential', () => {
  const first = tf.layers.conv1d({filters: 4, kernelSize: 3, inputShape: [8, 2], name: 'first'});
  const model = tf.sequential({
    layers: [
      adapted(first, {type: 'lora', rank: 1}),
      tf.layers.flatten(),
      adapted(tf.layers.dense({units: 2, name: 'head'}), {type: 'vera', rank: 3}, {trainableBase: true}),
    ],
  });
  expect([model.layers[0]!.name, model.layers[2]!.name]).toEqual(['first', 'head']);
  expect(model.inputs[0]!.shape).toEqual([null, 8, 2]);
  // Two of LoRA; kernel, bias and two vectors of the head.
  expect(model.trainableWeights).toHaveLength(2 + 2 + 2);
});

it('refuses what is no site, and options that there are not', () => {
  const lora = {type: 'lora', rank: 1} as const;
  expect(() => adapted(tf.layers.flatten(), lora)).toThrow(UnsupportedSiteError);
  expect(() => adapted(tf.layers.dense({units: 2}), {...lora, rank: 0})).toThrow(ConfigError);
  expect(() => adapted(tf.layers.dense({units: 2}), lora, {name: 'x'} as object)).toThrow(
    /unknown option 'name'/,
  );
});

it.each(Object.entries(FACTORIES))('%s is the Dense of the definition of that name', (name, factory) => {
  const typeIn = (type: string) => `${type.replaceAll('-', '')}dense`;
  const {examples = []} = adapterDefinitions().find(({type}) => typeIn(type) === name.toLowerCase())!;
  const [config] = examples as AdapterConfig[];
  const {type: _, ...options} = config!;
  const layer = (factory as (args: object) => PeftDense)({units: 3, name: 'made', ...options});
  expect(layer.name).toBe('made');
  const same = adapted(tf.layers.dense({units: 3}), config!);
  expect(layer.adapterConfig('default')).toEqual(same.adapterConfig('default'));
});
