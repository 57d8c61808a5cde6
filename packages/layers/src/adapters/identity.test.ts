import * as tf from '@tensorflow/tfjs';
import {ConfigError} from '@tfjs-peft/kernels';
import {createRouter, type RouterConfig, type RouterContext, type Routing} from '@tfjs-peft/routers';
import {type AdapterConfig, type AdapterRouterConfig, createAdapter, PeftDense} from '../index.js';
import type {UsageRecorder} from '../sites/usage.js';
import {normal} from '../testing/sites.js';

/** Every adapter with experts, by every router and site: a generated matrix, of which each cell is the identity, a formula, or refused. */
const ADAPTERS: Record<string, (router: AdapterRouterConfig) => AdapterConfig> = {
  molora: (router) => ({type: 'molora', experts: 3, rank: 2, router}),
  mov: (router) => ({type: 'mov', experts: 3, router}),
  'mov before the activation': (router) => ({type: 'mov', experts: 3, position: 'before-activation', router}),
  ...Object.fromEntries(
    (['lora', 'dora', 'lora-fa', 'slice'] as const).flatMap((type) =>
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

const CONTEXT: RouterContext = {};

beforeAll(async () => {
  await tf.setBackend('cpu');
  CONTEXT.intuition = normal([2, 3], 5);
  CONTEXT.sentence = normal([2, 4], 6);
  CONTEXT.task = tf.tensor1d([0, 2]);
});

const readsShared = (router: AdapterRouterConfig) => JSON.stringify(router).includes('"zero"');

const cells = Object.entries(ADAPTERS).flatMap(([name, config]) =>
  ROUTERS.flatMap((router) =>
    [
      {activation: 'linear' as const, shape: [2, 5]},
      {activation: 'tanh' as const, shape: [2, 4, 5]},
      {activation: 'softplus' as const, shape: [2, 3, 2, 5]},
    ].map((site) => ({name, router, config, ...site})),
  ),
);

test.each(cells)(
  '$name by $router at $activation [$shape]',
  async ({name, router, config, activation, shape}) => {
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
    const layer = new PeftDense({units: 6, activation, biasInitializer: 'randomNormal'});
    layer.addAdapter('default', adapter, 3);
    layer.build(shape);
    layer.context = () => CONTEXT;
    let gates: tf.Tensor | undefined;
    layer.usage = {
      add: (routing: Routing) => {
        gates = tf.keep(tf.clone(routing.gates));
      },
    } as unknown as UsageRecorder;
    const x = normal(shape, 4);
    const stock = await (layer.call(x, {}) as tf.Tensor).data();
    layer.activate('default');
    const got = await (layer.call(x, {}) as tf.Tensor).data();
    const off = (want: ArrayLike<number>) =>
      Math.max(...Array.from(got, (value, i) => Math.abs(value - want[i]!))) /
      Math.max(1, ...Array.from(want, Math.abs));
    const sums = tf.sum(gates!, -1, true);
    const whole = (await sums.data()).every((sum) => Math.abs(sum - 1) < 1e-5);
    expect(whole || createRouter({...router, experts: 3} as RouterConfig).normalized !== true).toBe(true);

    if (name.startsWith('mov')) {
      // All vectors start at one, so MoV scales by the sum of the gates: not the identity where that is not 1.
      const [kernel, bias] = layer.base.map((variable) => variable.read()) as [tf.Tensor2D, tf.Tensor1D];
      const z = tf.add(tf.matMul(x.reshape([-1, 5]), kernel), bias).reshape([...shape.slice(0, -1), 6]);
      const act = {linear: (u: tf.Tensor) => u, tanh: tf.tanh, softplus: tf.softplus}[activation];
      const want = name === 'mov' ? tf.mul(sums, act(z)) : act(tf.mul(sums, z));
      expect(off(await want.data())).toBeLessThan(2e-6);
      expect(off(stock) < 2e-6).toBe(whole);
    } else if (name === 'lime over slice, code') {
      // The released form modulates the first two columns themselves, and leaves the others alone.
      const others = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => i % 6 >= 2);
      const moved = others(got).map((value, i) => Math.abs(value - others(stock)[i]!));
      expect(Math.max(...moved)).toBeLessThan(2e-6);
      expect(off(stock)).toBeGreaterThan(1e-4);
    } else {
      expect(off(stock)).toBeLessThan(2e-6);
    }
    gates!.dispose();
  },
);
