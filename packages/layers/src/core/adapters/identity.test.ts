import * as tf from '@tensorflow/tfjs';
import {ConfigError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {createRouter, type RouterConfig, type RouterContext, type Routing} from '@tfjs-peft/routers';
import {tensorDeviation} from '@tfjs-peft/testing/compare';
import {type AdapterConfig, type AdapterRouterConfig, createAdapter, defineAdapter} from '../../index.js';
import {ADAPTERS as EXAMPLES, scalesOnly} from '../../testing/adapters.js';
import {inputOf, SITE_CASES, type SiteCase, standIn} from '../../testing/layer-sites.js';
import {normal} from '../../testing/sites.js';
import type {UsageRecorder} from '../sites/usage.js';
import {MODULE_TYPES} from './lime/modules.js';

/** Adapters that take a router. */
const MIXTURES = new Set(['molora', 'mov', 'lime']);

/**
 * Every adapter with experts, by every router and site: a generated matrix, of which each cell is the
 * identity, a formula, or refused.
 */
const ADAPTERS: Record<string, (router: AdapterRouterConfig) => AdapterConfig> = {
  molora: (router) => ({type: 'molora', experts: 3, rank: 2, router}),
  mov: (router) => ({type: 'mov', experts: 3, router}),
  'mov before the activation': (router) => ({type: 'mov', experts: 3, position: 'before-activation', router}),
  ...Object.fromEntries(
    MODULE_TYPES.filter((type) => type !== 'prompt').flatMap((type) =>
      (['paper', 'code'] as const).map((form) => [
        `lime over ${type}, ${form}`,
        (router: AdapterRouterConfig): AdapterConfig => ({
          type: 'lime',
          experts: 3,
          over: {type, rank: 2},
          form,
          router,
        }),
      ]),
    ),
  ),
  ...Object.fromEntries(
    (['paper', 'code'] as const).map((form) => [
      `lime over prompt, ${form}`,
      (router: AdapterRouterConfig): AdapterConfig => ({
        type: 'lime',
        experts: 3,
        over: {type: 'prompt', virtualTokens: 2},
        form,
        router,
      }),
    ]),
  ),
};

const ROUTERS: AdapterRouterConfig[] = [
  {type: 'softmax'},
  {type: 'softmax', topK: 2, renormalize: true},
  {type: 'softmax', topK: 2},
  {type: 'noisy-top-k'},
  {type: 'noisy-top-k', topK: 1, renormalize: false},
  {type: 'expert-choice'},
  {type: 'zero'},
  {type: 'zero', nGram: 2, causal: true},
  {type: 'zero', selection: 'top-k-sigmoid', topK: 2, jitter: 0.1},
  {type: 'intuition'},
  {type: 'sentence', width: 4},
  {type: 'task'},
  {type: 'fixed'},
  {type: 'fixed', gates: [2, 0, 1]},
  {type: 'composite', routers: [{type: 'softmax'}, {type: 'intuition'}]},
  {type: 'composite', routers: [{type: 'zero'}, {type: 'fixed'}]},
];

/** Adapters that route by themselves, or not at all. */
const PLAIN: AdapterConfig[] = [
  ...EXAMPLES.filter(({type}) => !MIXTURES.has(type)),
  {type: 'dora', rank: 2, normGradient: true},
  {type: 'ia3', position: 'before-activation'},
  {type: 'mov', experts: 1, form: 'code'},
  {type: 'mov', experts: 2, form: 'code', heads: 2},
  {type: 'mor1e', r1: 3, r2: 1},
  {type: 'mor1e', mode: '1v1', rank: 3},
];

const CONTEXT: RouterContext = {};

/** A row of factors by which a test scales a site, before or after its activation. */
const factors: {rows?: tf.Tensor; place: 'alpha' | 'post'} = {place: 'post'};

defineAdapter({
  type: 'Test_Factors',
  create: () => {
    let width = 0;
    return {
      type: 'Test_Factors',
      scalesOnly: true,
      build: ({outputDim}) => {
        width = outputDim;
      },
      parts: () => ({[factors.place]: {gates: factors.rows!, table: tf.ones([1, width])}}),
      getConfig: () => ({type: 'Test_Factors'}) as unknown as AdapterConfig,
    };
  },
});

beforeAll(async () => {
  await tf.setBackend('cpu');
  CONTEXT.intuition = normal([2, 3], 5);
  CONTEXT.sentence = normal([2, 4], 6);
  CONTEXT.task = tf.tensor1d([0, 2]);
});

const dense = (activation: 'linear' | 'tanh' | 'softplus', inputShape: number[]): SiteCase => ({
  name: `dense, ${activation} [${inputShape}]`,
  make: () => tf.layers.dense({units: 6, activation, biasInitializer: 'randomNormal'}),
  inputShape,
});

const SITES = [
  dense('linear', [5]),
  dense('tanh', [4, 5]),
  dense('softplus', [3, 2, 5]),
  ...SITE_CASES.filter(({name}) => name !== 'dense'),
];

const readsShared = (router: AdapterRouterConfig) => JSON.stringify(router).includes('"zero"');

/** Refuses what cannot act at the site, naming both, and leaves the layer alone. */
function expectRefused(site: SiteCase, adapter: AdapterConfig): void {
  const {layer} = standIn(site);
  expect(() => layer.addAdapter('default', adapter)).toThrow(UnsupportedSiteError);
  expect(() => layer.addAdapter('default', adapter)).toThrow(
    `Layer '${layer.name}': a ${adapter.type} adapter`,
  );
  expect(layer.adapterNames).toEqual([]);
}

describe.each(SITES)('a $name', (site) => {
  test.each(PLAIN.map((adapter) => ({adapter})))('starts unchanged with $adapter', async ({adapter}) => {
    if (site.scaling && !scalesOnly(adapter)) {
      expectRefused(site, adapter);
      return;
    }
    const {stock, layer} = standIn(site, adapter, 3);
    layer.context = () => CONTEXT;
    const x = inputOf(site);
    expect(tensorDeviation(layer.call(x, {}) as tf.Tensor, stock.call(x, {}) as tf.Tensor)).toBeLessThan(
      2e-6,
    );
  });

  const cells = Object.entries(ADAPTERS).flatMap(([name, config]) =>
    ROUTERS.map((router) => ({name, router, config})),
  );
  test.each(cells)('is as $name by $router says', async ({name, router, config}) => {
    const adapter = config(router);
    const refusal =
      readsShared(router) && !name.startsWith('lime')
        ? /reads the output of a module.*another router/
        : 'causal' in router && name.endsWith('code')
          ? /normalizer 'batch' lets every token see all others/
          : undefined;
    if (refusal !== undefined) {
      expect(() => createAdapter(adapter)).toThrow(ConfigError);
      expect(() => createAdapter(adapter)).toThrow(refusal);
      return;
    }
    const isPrompt = name.startsWith('lime over prompt');
    if ((site.scaling && !name.startsWith('mov')) || (isPrompt && site.name !== 'embedding')) {
      expectRefused(site, adapter);
      return;
    }
    const {stock, layer} = standIn(site, adapter, 3);
    layer.context = () => CONTEXT;
    let gates: tf.Tensor | undefined;
    layer.usage = {
      add: (routing: Routing) => {
        gates = tf.keep(tf.clone(routing.gates));
      },
    } as unknown as UsageRecorder;
    const x = inputOf(site);
    const base = stock.call(x, {}) as tf.Tensor;
    const got = layer.call(x, {}) as tf.Tensor;
    const sums = tf.sum(gates!, -1, true);
    const whole = (await sums.data()).every((sum) => Math.abs(sum - 1) < 1e-5);
    expect(whole || createRouter({...router, experts: 3} as RouterConfig).normalized !== true).toBe(true);

    if (isPrompt) {
      // A change of zero leaves the base prompt before the tokens, whoever routes.
      const prompt = tf.expandDims(layer.adapterWeights('default').get('prompt_base')!.read(), 0);
      expect(tensorDeviation(got, tf.concat([tf.tile(prompt, [2, 1, 1]), base], 1))).toBeLessThan(2e-6);
    } else if (name.startsWith('mov')) {
      // All vectors start at one, so MoV scales by the sum of the gates: not
      // the identity where that is not 1.
      factors.rows = sums;
      factors.place = name === 'mov' ? 'post' : 'alpha';
      delete layer.usage;
      layer.addAdapter('factors', {type: 'Test_Factors'} as unknown as AdapterConfig);
      layer.activate('factors');
      expect(tensorDeviation(got, layer.call(x, {}) as tf.Tensor)).toBeLessThan(2e-6);
      if (whole) expect(tensorDeviation(got, base)).toBeLessThan(2e-6);
      else expect(tensorDeviation(got, base)).toBeGreaterThan(1e-4);
    } else if (name === 'lime over slice, code') {
      // The released form modulates the first two columns themselves, and leaves the others alone.
      expect(tensorDeviation(got, base)).toBeGreaterThan(1e-5);
      if (site.recurrent) return;
      const others = (y: tf.Tensor) => tf.slice(tf.reshape(y, [-1, 6]), [0, 2], [-1, 4]);
      expect(tensorDeviation(others(got), others(base))).toBeLessThan(2e-6);
    } else {
      expect(tensorDeviation(got, base)).toBeLessThan(2e-6);
    }
    gates!.dispose();
  });
});
