import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ConfigError} from '@tfjs-peft/kernels';
import {createRouter, type RouterConfig, type SoftmaxRouterConfig} from '../index.js';

/** A router whose kernel is the given tensor. */
function routerWith(config: Omit<SoftmaxRouterConfig, 'type' | 'experts'>, kernel: tf.Tensor2D) {
  const router = createRouter({type: 'softmax', experts: kernel.shape[1], ...config});
  router.build(kernel.shape[0], (name, shape, init) => {
    expect({name, shape, init}).toEqual({
      name: 'router',
      shape: kernel.shape,
      init: {type: 'normal', stddev: 0.02},
    });
    return {read: () => kernel};
  });
  return router;
}

/** softmax(x W / temperature) of one row, in double precision. */
function probabilitiesOf(x: number[], kernel: number[][], temperature: number): number[] {
  const logits = kernel[0]!.map(
    (_, e) => x.reduce((sum, value, i) => sum + value * kernel[i]![e]!, 0) / temperature,
  );
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 1e-6): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) expect(Math.abs(got[i]! - want[i]!)).toBeLessThanOrEqual(tolerance);
}

describe.each(['cpu', 'wasm'])('softmax router on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  const kernel = [
    [0.3, -0.8, 1.1, 0.2],
    [-0.5, 0.4, 0.9, -1.2],
    [0.7, 0.1, -0.6, 0.5],
  ];
  const rows = [
    [0.2, -1.3, 0.8],
    [1.5, 0.4, -0.9],
    [-0.7, 0.6, 2.1],
    [0.1, 0.9, 0.3],
  ];

  it.each([[[4, 3]], [[2, 2, 3]], [[2, 1, 2, 3]]])(
    'is the softmax of the tempered logits, for an input of shape %p',
    async (shape) => {
      const router = routerWith({temperature: 0.7}, tf.tensor2d(kernel));
      const {gates, probabilities} = router.route({input: tf.tensor(rows.flat(), shape), training: false});
      expect(gates.shape).toEqual([...shape.slice(0, -1), 4]);
      expectClose(
        await gates.data(),
        rows.flatMap((row) => probabilitiesOf(row, kernel, 0.7)),
      );
      expectClose(await probabilities.data(), await gates.data(), 0);
    },
  );

  it('keeps the k largest probabilities as they are', async () => {
    const router = routerWith({topK: 2}, tf.tensor2d(kernel));
    const {gates, probabilities} = router.route({input: tf.tensor2d(rows), training: false});
    const p = rows.map((row) => probabilitiesOf(row, kernel, 1));
    const kept = p.map((row) => {
      const threshold = [...row].sort((a, b) => b - a)[1]!;
      return row.map((value) => (value >= threshold ? value : 0));
    });
    expectClose(await probabilities.data(), p.flat());
    expectClose(await gates.data(), kept.flat());
  });

  it('scales the kept gates to sum to 1 if asked to', async () => {
    const router = routerWith({topK: 2, renormalize: true}, tf.tensor2d(kernel));
    const {gates} = router.route({input: tf.tensor2d(rows), training: false});
    expectClose(await tf.sum(gates, -1).data(), [1, 1, 1, 1]);
    expectClose(await tf.sum(tf.cast(tf.greater(gates, 0), 'float32'), -1).data(), [2, 2, 2, 2], 0);
  });

  it('gives ties to the lower index', async () => {
    const router = routerWith({topK: 2}, tf.zeros([3, 4]));
    const {gates} = router.route({input: tf.tensor2d(rows), training: false});
    expectClose(
      await gates.data(),
      rows.flatMap(() => [0.25, 0.25, 0, 0]),
    );
  });

  it.each<Omit<SoftmaxRouterConfig, 'type' | 'experts'>>([
    {},
    {temperature: 0.5},
    {topK: 1},
    {topK: 2},
    {topK: 2, renormalize: true},
    {topK: 4},
  ])('has gradients that finite differences confirm, with %p', async (config) => {
    const weights = tf.tensor(
      Array.from({length: 16}, (_, i) => Math.sin(i + 1)),
      [2, 2, 4],
    );
    const loss = (x: tf.Tensor, w: tf.Tensor): tf.Scalar => {
      const {gates} = routerWith(config, w as tf.Tensor2D).route({input: x, training: true});
      return tf.sum(tf.mul(gates, weights));
    };
    const x = tf.tensor(rows.flat(), [2, 2, 3]);
    const w = tf.tensor2d(kernel);
    const [dx, dw] = tf.grads(loss)([x, w]) as [tf.Tensor, tf.Tensor];
    const step = 1e-2;
    const numeric = async (base: tf.Tensor, at: (t: tf.Tensor) => tf.Tensor) => {
      const values = await base.data();
      return Array.from(values, (_, i) => {
        const moved = (by: number) => {
          const copy = Float32Array.from(values);
          copy[i]! += by;
          return at(tf.tensor(copy, base.shape)).dataSync()[0]!;
        };
        return (moved(step) - moved(-step)) / (2 * step);
      });
    };
    expectClose(await dx.data(), await numeric(x, (t) => loss(t, w)), 2e-4);
    expectClose(await dw.data(), await numeric(w, (t) => loss(x, t)), 2e-4);
  });

  it('leaves no tensors behind', () => {
    const router = routerWith({topK: 2, renormalize: true, temperature: 2}, tf.tensor2d(kernel));
    const input = tf.tensor2d(rows);
    const before = tf.memory().numTensors;
    const {gates, probabilities} = router.route({input, training: false});
    tf.dispose([gates, probabilities]);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('softmax router config', () => {
  it('fills in defaults and survives JSON', () => {
    const router = createRouter({type: 'softmax', experts: 5});
    expect(router.getConfig()).toEqual({type: 'softmax', experts: 5, temperature: 1, renormalize: false});
    const narrow = createRouter({type: 'softmax', experts: 5, topK: 2, temperature: 0.5, renormalize: true});
    const again = createRouter(JSON.parse(JSON.stringify(narrow.getConfig())) as RouterConfig);
    expect(again.getConfig()).toEqual({
      type: 'softmax',
      experts: 5,
      topK: 2,
      temperature: 0.5,
      renormalize: true,
    });
  });

  it.each<[object, RegExp]>([
    [{type: 'softmax'}, /experts is undefined.*at least 1/],
    [{type: 'softmax', experts: 0}, /experts is 0/],
    [{type: 'softmax', experts: 2.5}, /experts is 2.5/],
    [{type: 'softmax', experts: '4'}, /experts is '4'/],
    [{type: 'softmax', experts: 4, topK: 5}, /topK is 5.*from 1 to 4/],
    [{type: 'softmax', experts: 4, topK: 0}, /topK is 0/],
    [{type: 'softmax', experts: 4, temperature: 0}, /temperature is 0/],
    [{type: 'softmax', experts: 4, temperature: -1}, /temperature is -1/],
    [{type: 'softmax', experts: 4, temperature: Number.NaN}, /temperature is NaN/],
    [{type: 'softmax', experts: 4, renormalize: 1}, /renormalize is 1/],
    [{type: 'softmax', experts: 4, topk: 2}, /unknown option 'topk'.*topK/],
  ])('refuses %p', (config, message) => {
    const create = () => createRouter(config as RouterConfig);
    expect(create).toThrow(ConfigError);
    expect(create).toThrow(message);
  });
});
