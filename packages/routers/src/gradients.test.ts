import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {type RouterConfig, routerDefinitions} from './index.js';
import {examples, expectGradient, routerWith, wave} from './testing/route.js';

/** Every router, with the options that change what is differentiated. */
const ROUTERS: RouterConfig[] = [
  ...examples(4),
  {type: 'noisy-top-k', experts: 4, balance: 0.7, zLoss: 0.3},
  ...(['paper', 'code'] as const).flatMap((form): RouterConfig[] =>
    [
      {},
      {theta: 0.3, maxActive: 2, selection: 'auto'} as const,
      {selection: 'top-k', topK: 2} as const,
      {selection: 'all', stream: 'sum', jitter: 0.2} as const,
      {selection: 'auto-sigmoid', nGram: 2, importance: 1, divergence: 1} as const,
      {selection: 'top-k-sigmoid', topK: 2, nGram: 3, importance: 0.5} as const,
    ].map((more) => ({type: 'zero', experts: 4, temperature: 2, form, ...more})),
  ),
  {type: 'zero', experts: 4, temperature: 2, nGram: 2, causal: true, divergence: 1},
  {
    type: 'composite',
    experts: 4,
    routers: [
      {type: 'softmax'},
      {type: 'noisy-top-k', zLoss: 1},
      {type: 'zero', importance: 1},
      {type: 'intuition'},
    ],
    weights: [1, 2, 1, 1],
  },
];

beforeAll(() => tf.setBackend('cpu'));

describe.each(ROUTERS)('%j', (config) => {
  const inputs = {
    input: tf.variable(wave([2, 4, 3], 1)),
    base: tf.variable(wave([2, 4, 4], 2)),
    delta: tf.variable(wave([2, 4, 4], 3)),
    intuition: tf.variable(wave([2, 4], 6)),
    sentence: tf.variable(wave([2, 4], 7)),
  };
  const {route, router, weights} = routerWith(config, 3);
  const run = (withLoss = true) => {
    const {intuition, sentence, ...streams} = inputs;
    const noise = (shape: number[]) => tf.fill(shape, 0.3);
    const context = {intuition, sentence, task: tf.tensor1d([1, 0]), noise};
    return route({...streams, training: true, withLoss, context});
  };
  const readsOnly = (key: string) =>
    routerDefinitions().some(({type, context}) => type === config.type && context?.[0] === key);
  /** A router without weights that looks at nothing, or at whole numbers, has no gradient. */
  const smooth = weights.size > 0 || router.needs?.delta || readsOnly('intuition');
  /** Variables whose gradient is not left out, which are those that the router reads. */
  function expectGradients(loss: () => tf.Tensor): number {
    const all = [...Object.values(inputs), ...weights.values()];
    const {grads} = tf.variableGrads(() => tf.sum(loss()) as tf.Scalar, all);
    const variables = all.filter(({name}) => grads[name] !== undefined);
    for (const variable of variables) expectGradient(loss, variable);
    return variables.length;
  }

  if (smooth) {
    it('has the gradient of its gates, by all that it reads', () => {
      const cotangent = wave([2, 4, 4], 5);
      expect(expectGradients(() => tf.mul(run().gates, cotangent))).toBeGreaterThan(0);
    });
  }

  if (router.hasLoss) {
    it('has the gradient of its loss', () => {
      expect(expectGradients(() => run().loss!)).toBeGreaterThan(0);
    });
  }

  it('computes no loss where none is wanted', () => {
    expect(run().loss !== undefined).toBe(router.hasLoss === true);
    expect(run(false).loss).toBeUndefined();
  });
});
