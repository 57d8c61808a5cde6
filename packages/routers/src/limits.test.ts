import * as tf from '@tensorflow/tfjs';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {createRouter, fitIntuition, intuitionScores, type RouterConfig} from './index.js';
import {routerWith, rowsOf, wave} from './testing/route.js';

beforeAll(() => tf.setBackend('cpu'));

describe('a composite', () => {
  const nested = (depth: number) => {
    let router: object = {type: 'softmax', experts: 2};
    for (let i = 0; i < depth; i++) router = {type: 'composite', experts: 2, routers: [router]};
    return router as RouterConfig;
  };
  const circular = () => {
    const router = {type: 'composite', experts: 2, routers: [] as object[]};
    router.routers.push(router);
    return router as unknown as RouterConfig;
  };
  const wide = (count: number) => ({
    type: 'composite' as const,
    experts: 2,
    routers: Array.from({length: count}, () => ({type: 'softmax'})),
  });

  it('may be nested a little', () => {
    expect(createRouter(nested(8)).experts).toBe(2);
    expect(createRouter(wide(63)).experts).toBe(2);
  });

  it.each([
    ['nested 9 deep', nested(9)],
    ['nested 20,000 deep', nested(20000)],
    ['circular', circular()],
    ['of 200,000', wide(200000)],
  ])('%s is refused', (_, config) => {
    expect(() => createRouter(config)).toThrow(ConfigError);
    expect(() => createRouter(config)).toThrow(
      /more than 64 routers or is nested more than 8 deep|deeper than 32|more than 100000 values/,
    );
  });
});

describe('one gate a token', () => {
  it.each([
    {type: 'softmax', experts: 4, topK: 1, renormalize: true},
    {type: 'noisy-top-k', experts: 4, topK: 1, renormalize: true},
  ] as const)('that is scaled to 1 is warned of: %j', (config) => {
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => {});
    createRouter(config);
    createRouter(config);
    expect(warn.mock.calls.flat().filter((text) => /router cannot learn/.test(String(text)))).toHaveLength(1);
    warn.mockRestore();
  });

  it('is the probability itself by default, so that the router learns', () => {
    const {route, weights} = routerWith({type: 'noisy-top-k', experts: 4, topK: 1, noise: 0}, 5);
    const kernel = weights.get('router')!;
    const input = wave([6, 5], 1);
    const target = wave([6, 4], 3);
    const {grads} = tf.variableGrads(
      () => tf.sum(tf.mul(route({input}).gates, target)) as tf.Scalar,
      [kernel],
    );
    expect(tf.max(tf.abs(grads[kernel.name]!)).dataSync()[0]).toBeGreaterThan(0.01);
  });
});

describe('a window longer than the sequence', () => {
  it('is the sequence', () => {
    const routed = (nGram: number) => {
      const {route} = routerWith({type: 'zero', experts: 3, nGram}, 4);
      return rowsOf(
        route({input: wave([2, 6, 4], 1), base: wave([2, 6, 3], 2), delta: wave([2, 6, 3], 3)}).gates,
      );
    };
    expect(routed(5e7)).toEqual(routed(6));
    expect(routed(Number.MAX_SAFE_INTEGER)).toEqual(routed(6));
  });
});

describe('noise of the context', () => {
  const input = wave([2, 3, 5], 1);
  it.each([
    {type: 'softmax', experts: 4, jitter: 0.1},
    {type: 'noisy-top-k', experts: 4},
  ] as const)('has the shape that is asked for: %j', (config) => {
    const {route} = routerWith(config, 5);
    const call = (noise: unknown) => () =>
      route({input, training: true, context: {noise: noise as (shape: number[]) => tf.Tensor}});
    expect(call(() => tf.ones([1]))).toThrow(ShapeError);
    expect(call(() => tf.ones([1]))).toThrow(/noise has shape \[1\], but must be/);
    expect(call(() => 0.5)).toThrow(ConfigError);
    expect(call((shape: number[]) => tf.fill(shape, 0.5))).not.toThrow();
  });
});

describe('numbers of tasks', () => {
  const input = tf.zeros([2, 3, 4]);

  it.each([[[0, 7]], [[0, -1]], [[0, 0.5]], [[0, Number.NaN]]])(
    '%j name the sample that is wrong',
    (numbers) => {
      const {route} = routerWith({type: 'task', experts: 2}, 4);
      const call = () => route({input, context: {task: tf.tensor1d(numbers)}});
      expect(call).toThrow(ConfigError);
      expect(call).toThrow(/task of sample 1 is .*whole number from 0 to 1/);
    },
  );

  it('are read back once, however often they are looked at', () => {
    const {route} = routerWith({type: 'task', experts: 2}, 4);
    const task = tf.tensor1d([0, 1]);
    const read = jest.spyOn(task, 'dataSync');
    for (let i = 0; i < 5; i++) route({input, context: {task}});
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('are those that every part of a composite knows', () => {
    const routers = [{type: 'task'}, {type: 'task', assign: [0, 1, 1, 0]}, {type: 'softmax'}];
    expect(createRouter({type: 'composite', experts: 2, routers}).tasks).toBe(2);
    expect(createRouter({type: 'softmax', experts: 2}).tasks).toBeUndefined();
  });
});

describe('sentence embeddings', () => {
  const rows = [
    [1, 0, 0.1],
    [0.9, 0.1, 0],
    [0, 1, 0],
    [0.1, 1, 0.1],
  ];

  it('may be rows or a tensor', () => {
    expect(fitIntuition(tf.tensor2d(rows), 2)).toEqual(fitIntuition(tf.tensor2d(rows).arraySync(), 2));
    const centroids = fitIntuition(rows, 2);
    const want = rowsOf(intuitionScores(tf.tensor2d(rows), centroids));
    expect(rowsOf(intuitionScores(rows, tf.tensor2d(centroids)))).toEqual(want);
    expect(
      rowsOf(
        intuitionScores(
          rows,
          centroids.map((row) => Float32Array.from(row)),
        ),
      ),
    ).toEqual(want);
  });

  it.each([[3], ['rows'], [null], [{}], [[1, 2]], [tf.ones([3])]])('%p are refused by name', (given) => {
    expect(() => fitIntuition(given as number[][], 1)).toThrow(ConfigError);
    expect(() => fitIntuition(given as number[][], 1)).toThrow(
      /must be a list of rows of numbers or a tensor/,
    );
  });

  it('and centroids have one width', () => {
    expect(() => intuitionScores(tf.ones([2, 3]), [[1, 2]])).toThrow(ShapeError);
    expect(() => intuitionScores(tf.ones([2, 3]), [[1, 2]])).toThrow(/\[2,3\], but centroids \[1,2\]/);
    expect(() => intuitionScores([[1, 2], [3]], [[1, 2]])).toThrow(/rows of embeddings differ/);
  });
});
