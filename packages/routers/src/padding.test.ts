import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs';
import type {RouterConfig, RouterContext, Routing} from './index.js';
import {examples, expectGradient, routerWith, rowsOf, wave} from './testing/route.js';

const BATCH = 3;
const REAL = 5;
const WIDTH = 6;
const EXPERTS = 4;
const losses = {importance: 0.7, divergence: 0.3};

/** Every router, but for the released code's form of LiME's, which looks at padding too. */
const configs: RouterConfig[] = [
  ...examples(EXPERTS).filter((config) => config.type !== 'zero' || config.form !== 'code'),
  {type: 'noisy-top-k', experts: EXPERTS, noise: 0, balance: 1, zLoss: 0},
  {type: 'noisy-top-k', experts: EXPERTS, noise: 0, balance: 0, zLoss: 1},
  {type: 'noisy-top-k', experts: EXPERTS, noise: 0, balance: 0.5, zLoss: 0.5, topK: 1},
  {type: 'expert-choice', experts: EXPERTS},
  {type: 'expert-choice', experts: EXPERTS, capacity: 0.3},
  {type: 'expert-choice', experts: EXPERTS, capacity: 9},
  {type: 'zero', experts: EXPERTS, ...losses},
  {type: 'zero', experts: EXPERTS, nGram: 2, ...losses},
  {type: 'zero', experts: EXPERTS, nGram: 3, anchor: 'previous', ...losses},
  {type: 'zero', experts: EXPERTS, nGram: 1000, ...losses},
  {
    type: 'composite',
    experts: EXPERTS,
    routers: [{type: 'noisy-top-k', noise: 0, balance: 1}, {type: 'softmax'}],
  },
];

/** Whether windows of several tokens decide together, which begin at the first place, padding or not. */
const hasWindows = (config: RouterConfig) => config.type === 'zero' && (config.nGram ?? 1) > 1;

/** What the context has for all samples, and numbers instead of noise. */
const context = (): RouterContext => ({
  intuition: wave([1, EXPERTS], 6),
  sentence: wave([1, 4], 7),
  task: tf.tensor1d([1]),
  noise: (shape) => tf.fill(shape, 0.3),
});

interface Padding {
  left: number;
  right: number;
  /** Samples of nothing but padding. */
  samples: number;
}

function padded(tensor: tf.Tensor, {left, right, samples}: Padding, value: number): tf.Tensor {
  const rest = tensor.shape.slice(2).map((): [number, number] => [0, 0]);
  return tf.pad(tensor, [[0, samples], [left, right], ...rest], value);
}

function routed(config: RouterConfig, padding: Padding): {routing: Routing; real: number[][]} {
  const {route} = routerWith(config, WIDTH);
  const inner = (size: number, phase: number) => wave([BATCH, REAL, size], phase);
  // What stands at padded places must not matter: here it is large.
  const stream = (size: number, phase: number) => padded(inner(size, phase), padding, 7);
  const routing = route({
    input: stream(WIDTH, 1),
    base: stream(EXPERTS, 2),
    delta: stream(EXPERTS, 3),
    training: true,
    context: {...context(), mask: padded(tf.ones([BATCH, REAL]), padding, 0)},
  });
  const real = tf.slice(routing.gates, [0, padding.left, 0], [BATCH, REAL, EXPERTS]);
  return {routing, real: rowsOf(real)};
}

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  const paddings: Padding[] = [
    {left: 0, right: 3, samples: 0},
    {left: 0, right: 40, samples: 2},
    {left: 4, right: 1, samples: 1},
  ];

  describe.each(configs)('%j', (config) => {
    it.each(paddings)('decides and loses the same with padding %j', (padding) => {
      if (hasWindows(config) && padding.left > 0) return;
      const want = routed(config, {left: 0, right: 0, samples: 0});
      const got = routed(config, padding);
      got.real.forEach((row, i) => {
        row.forEach((gate, e) => {
          expect(gate).toBeCloseTo(want.real[i]![e]!, 5);
        });
      });
      expect(got.routing.loss === undefined).toBe(want.routing.loss === undefined);
      if (want.routing.loss === undefined) return;
      const [wanted, loss] = [want.routing.loss, got.routing.loss!].map((t) => t.dataSync()[0]!);
      expect(Math.abs(wanted!)).toBeGreaterThan(1e-6);
      expect(loss).toBeCloseTo(wanted!, 5);
    });
  });

  it('counts no token where all are padding', () => {
    for (const config of configs) {
      const {route} = routerWith(config, WIDTH);
      const size = (width: number) => wave([2, 3, width], 1);
      const mask = tf.zeros([2, 3]);
      const {gates, loss} = route({
        input: size(WIDTH),
        base: size(EXPERTS),
        delta: size(EXPERTS),
        training: true,
        context: {...context(), mask},
      });
      expect(gates.dataSync().every(Number.isFinite)).toBe(true);
      if (loss !== undefined) expect(Number.isFinite(loss.dataSync()[0]!)).toBe(true);
    }
  });

  it('has the gradient of its values behind a mask', () => {
    const mask = tf.tensor2d([
      [1, 1, 1, 0, 0],
      [1, 1, 0, 0, 0],
      [0, 0, 0, 0, 0],
    ]);
    for (const config of configs.filter(({type}) => type === 'noisy-top-k' || type === 'expert-choice')) {
      const {route, weights} = routerWith(config, WIDTH);
      const input = wave([BATCH, REAL, WIDTH], 1);
      const value = () => {
        const {gates, loss} = route({input, training: true, context: {...context(), mask}});
        const own = tf.sum(tf.mul(tf.mul(gates, tf.expandDims(mask, -1)), wave([EXPERTS], 2)));
        return loss === undefined ? own : tf.add(own, loss);
      };
      expectGradient(value, weights.get('router')!);
    }
  });
});
