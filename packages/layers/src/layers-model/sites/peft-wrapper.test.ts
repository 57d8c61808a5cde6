import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ConfigError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {type AdapterConfig, PeftWrapper} from '../../index.js';
import {ADAPTERS, scalesOnly} from '../../testing/adapters.js';
import {inputOf, SITE_CASES, type SiteCase, standIn} from '../../testing/layer-sites.js';
import {disturb, normal, reloaded} from '../../testing/sites.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const applies = (site: SiteCase) =>
  ADAPTERS.filter((adapter) => !site.scaling || scalesOnly(adapter)).map((adapter) => ({adapter}));

/** A wrapper that is made new, not put in a layer's place, with the case's layer inside. */
function fresh(site: SiteCase, name: string, adapters: Record<string, AdapterConfig>): PeftWrapper {
  const stock = site.make();
  const {batchInputShape: _, ...config} = stock.getConfig();
  const stockClass = stock.constructor as typeof PeftWrapper;
  const layer: tf.layers.Layer = stockClass.fromConfig(stockClass as never, {...config, name});
  const wrapper = new PeftWrapper({layer, name});
  for (const [adapter, config] of Object.entries(adapters)) wrapper.addAdapter(adapter, config);
  return wrapper;
}

describe.each(SITE_CASES)('a wrapped $name', (site) => {
  test.each(applies(site))('comes back with the saved model, $adapter', async ({adapter}) => {
    // Names that tfjs-layers rewrites wherever it does not take them for names.
    const wrapper = fresh(site, 'block_1/Site_A.b', {'a.b "c"_D': adapter, other: {type: 'ia3'}});
    wrapper.activate('a.b "c"_D');
    const input = tf.input({shape: site.inputShape, dtype: site.input === undefined ? 'float32' : 'int32'});
    const model = tf.model({inputs: input, outputs: wrapper.apply(input) as tf.SymbolicTensor});
    disturb(wrapper, 'a.b "c"_D');
    const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
    const facts = (m: tf.LayersModel) =>
      m.weights.map(({originalName, shape, trainable}) => ({originalName, shape, trainable}));
    expect(facts(copy)).toEqual(facts(model));
    expect(copy.trainableWeights).toHaveLength(model.trainableWeights.length);
    const x = inputOf(site);
    expect((copy.predict(x) as tf.Tensor).arraySync()).toEqual((model.predict(x) as tf.Tensor).arraySync());
    const again = copy.layers.at(-1) as PeftWrapper;
    expect(again).toBeInstanceOf(PeftWrapper);
    expect(again.activeAdapter).toBe('a.b "c"_D');
    expect(again.adapterConfig('a.b "c"_D')).toEqual(wrapper.adapterConfig('a.b "c"_D'));
  });

  test('leaves nothing behind when adapters come, act and go', () => {
    const {layer} = standIn(site);
    const x = inputOf(site);
    const before = tf.memory().numTensors;
    for (const {adapter} of applies(site)) {
      layer.addAdapter('default', adapter, 1);
      layer.activate('default');
      tf.dispose(layer.call(x, {}));
      layer.removeAdapter('default');
    }
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('recurrent layers', () => {
  const make = {lstm: tf.layers.lstm, gru: tf.layers.gru, simpleRNN: tf.layers.simpleRNN};
  const kinds = Object.keys(make) as (keyof typeof make)[];

  function pair(kind: keyof typeof make, args: object): {stock: tf.layers.Layer; layer: PeftWrapper} {
    const stock = make[kind]({units: 3, ...args} as never);
    stock.apply(tf.input({batchShape: [2, 4, 5]}));
    const layer = PeftWrapper.standIn(stock);
    layer.addAdapter('default', {type: 'lora', rank: 2}, 1);
    layer.activate('default');
    return {stock, layer};
  }

  const values = (y: tf.Tensor | tf.Tensor[]) => [y].flat().map((tensor) => tensor.arraySync());

  test.each(kinds)('of kind %s hand on masks, states and the order of steps', (kind) => {
    const mask = tf.tensor2d([
      [1, 1, 0, 0],
      [1, 1, 1, 0],
    ]);
    const {stock, layer} = pair(kind, {returnState: true, returnSequences: true, goBackwards: true});
    const x = normal([2, 4, 5], 1);
    const close = (got: tf.Tensor | tf.Tensor[], want: tf.Tensor | tf.Tensor[]) => {
      const [a, b] = [values(got), values(want)];
      expect(a).toHaveLength(b.length);
      a.forEach((array, i) => {
        expect(tf.max(tf.abs(tf.sub(array as never, b[i] as never))).dataSync()[0]).toBeLessThan(1e-6);
      });
    };
    close(layer.call(x, {mask}), stock.call(x, {mask}));
    const states = (kind === 'lstm' ? [5, 6] : [5]).map((seed) => normal([2, 3], seed));
    close(layer.call([x, ...states], {}), stock.call(x, {initialState: states}));
    expect(layer.computeOutputShape([2, 4, 5])).toEqual(stock.computeOutputShape([2, 4, 5]));
    disturb(layer, 'default');
    expect(values(layer.call(x, {mask}))).not.toEqual(values(stock.call(x, {mask})));
  });

  test.each(kinds)('of kind %s keep their states from batch to batch, and forget them when told', (kind) => {
    const {layer} = pair(kind, {stateful: true});
    const x = normal([2, 4, 5], 1);
    const inside = layer.stock as unknown as {resetStates(): void};
    inside.resetStates();
    const first = values(layer.call(x, {}));
    expect(values(layer.call(x, {}))).not.toEqual(first);
    expect(layer.stateful).toBe(true);
    layer.resetStates();
    expect(values(layer.call(x, {}))).toEqual(first);
  });

  test.each(kinds)('of kind %s drop inputs and states out in training alone', (kind) => {
    const {layer, stock} = pair(kind, {dropout: 0.5, recurrentDropout: 0.5});
    const x = normal([2, 4, 5], 1);
    const still = values(layer.call(x, {}));
    expect(values(layer.call(x, {}))).toEqual(still);
    expect(values(layer.call(x, {training: true}))).not.toEqual(still);
    expect(values(layer.call(x, {training: true}))).not.toEqual(values(layer.call(x, {training: true})));
    // The stock cell is its own again.
    layer.activate(null);
    expect(values(layer.call(x, {}))).toEqual(values(stock.call(x, {})));
  });

  test('go back to their own cell after an error', () => {
    const {layer, stock} = pair('lstm', {});
    const cell = (stock as unknown as {cell: tf.layers.Layer}).cell;
    expect(() => layer.call([normal([2, 4, 5], 1), normal([2, 3], 1)], {})).toThrow(/state/);
    expect(Object.hasOwn(cell, 'call')).toBe(false);
  });
});

describe('embeddings', () => {
  test('with maskZero leave padding as it is with lime, and pass the mask on', () => {
    const stock = tf.layers.embedding({inputDim: 5, outputDim: 4, maskZero: true});
    stock.apply(tf.input({shape: [3]}));
    const layer = PeftWrapper.standIn(stock);
    layer.addAdapter('default', {type: 'lime', experts: 2}, 1);
    layer.activate('default');
    disturb(layer, 'default');
    const ids = tf.tensor2d([[2, 1, 0]], [1, 3], 'int32');
    const [got, want] = [layer, stock].map((l) => (l.call(ids, {}) as tf.Tensor3D).arraySync()[0]!);
    expect(got![2]).toEqual(want![2]);
    expect(got![1]).not.toEqual(want![1]);
    expect((layer.computeMask(ids) as tf.Tensor).arraySync()).toEqual([[1, 1, 0]]);
  });

  test('take ids that come as floats, of any rank', () => {
    const {layer} = standIn(SITE_CASES.find(({name}) => name === 'embedding')!, {type: 'lora', rank: 2});
    expect((layer.call(tf.tensor3d([[[1, 2]], [[3, 4]]]), {}) as tf.Tensor).shape).toEqual([2, 1, 2, 6]);
  });
});

describe('what cannot be a site is refused by name', () => {
  test.each<[string, () => tf.layers.Layer, RegExp]>([
    [
      'a convolution with channels first',
      () => tf.layers.conv2d({filters: 2, kernelSize: 3, name: 'c', dataFormat: 'channelsFirst'}),
      /Layer 'c' has dataFormat 'channelsFirst', but adapters need 'channelsLast'/,
    ],
    [
      'stacked cells',
      () =>
        tf.layers.rnn({name: 'r', cell: [tf.layers.lstmCell({units: 2}), tf.layers.lstmCell({units: 2})]}),
      /Layer 'r' runs a StackedRNNCells/,
    ],
    ['a layer without weights', () => tf.layers.flatten({name: 'f'}), /Layer 'f' is a Flatten.*registerSite/],
    [
      'a layer of another class',
      () => tf.layers.conv3d({filters: 2, kernelSize: 3, name: 't'}),
      /Layer 't' is a Conv3D/,
    ],
    [
      'a transposed convolution with channels first',
      () => tf.layers.conv2dTranspose({filters: 2, kernelSize: 3, name: 't', dataFormat: 'channelsFirst'}),
      /Layer 't' has dataFormat 'channelsFirst', but adapters need 'channelsLast'/,
    ],
    [
      'a separable convolution with channels first',
      () => tf.layers.separableConv2d({filters: 2, kernelSize: 3, name: 's', dataFormat: 'channelsFirst'}),
      /Layer 's' has dataFormat 'channelsFirst', but adapters need 'channelsLast'/,
    ],
  ])('%s', (_what, make, message) => {
    expect(() => new PeftWrapper({layer: make()})).toThrow(UnsupportedSiteError);
    expect(() => new PeftWrapper({layer: make()})).toThrow(message);
  });

  test('a layer that is not built, and a class that is not registered', () => {
    expect(() => PeftWrapper.standIn(tf.layers.conv1d({filters: 2, kernelSize: 2, name: 'c'}))).toThrow(
      /Conv1D layer 'c' has no weights yet/,
    );
    const config = {name: 'x', layer: {className: 'Nowhere', config: {}}};
    expect(() => PeftWrapper.fromConfig(PeftWrapper as never, config)).toThrow(ConfigError);
    expect(() => PeftWrapper.fromConfig(PeftWrapper as never, config)).toThrow(/'x' wraps a Nowhere/);
  });

  test('a low-rank adapter that came before a depthwise convolution was built', () => {
    const layer = new PeftWrapper({layer: tf.layers.depthwiseConv2d({kernelSize: 2, name: 'd'})});
    layer.addAdapter('default', {type: 'lora'});
    expect(() => layer.apply(tf.input({shape: [4, 4, 2]}))).toThrow(
      /Layer 'd': a lora adapter needs a product/,
    );
  });
});
