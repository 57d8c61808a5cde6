import * as tf from '@tensorflow/tfjs';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {
  balanceLoss,
  createRouter,
  fitIntuition,
  importanceLoss,
  intuitionScores,
  type RouterConfig,
  type RouterContext,
  sentenceEmbedding,
  usageDivergence,
  zLoss,
} from './index.js';
import {expectGradient, expectRows, routerWith, rowsOf, wave} from './testing/route.js';

beforeAll(() => tf.setBackend('cpu'));

const value = (tensor: tf.Tensor) => tensor.dataSync()[0]!;
const softmax = (row: number[]) => {
  const powers = row.map(Math.exp);
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
};

describe('losses of usage', () => {
  it('are 0 where all experts are used alike, and E - 1 and log E where one is alone', () => {
    const uniform = tf.fill([5], 0.2) as tf.Tensor1D;
    const alone = tf.tensor1d([0, 0, 1, 0, 0]);
    expect(value(importanceLoss(uniform))).toBeCloseTo(0, 6);
    expect(value(usageDivergence(uniform))).toBeCloseTo(0, 6);
    expect(value(importanceLoss(alone))).toBeCloseTo(4, 6);
    expect(value(usageDivergence(alone))).toBeCloseTo(Math.log(5), 6);
  });

  it('of Switch is k where routing to k experts is uniform', () => {
    const probabilities = tf.fill([2, 4, 4], 0.25);
    // Every pair of neighbours is chosen by one of the four tokens.
    const pairs = [0, 1, 2, 3].map((t) => [0, 1, 2, 3].map((e) => (e === t || e === (t + 1) % 4 ? 1 : 0)));
    const selected = tf.tensor3d([pairs, pairs]);
    expect(value(balanceLoss(probabilities, selected))).toBeCloseTo(2, 6);
  });

  it('of the logits is the mean square of their logsumexp', () => {
    const logits = [
      [1, 2],
      [0, -1],
    ];
    const want = logits.map((row) => Math.log(row.reduce((sum, l) => sum + Math.exp(l), 0)) ** 2);
    expect(value(zLoss(tf.tensor2d(logits)))).toBeCloseTo((want[0]! + want[1]!) / 2, 5);
  });
});

describe('noisy top-k', () => {
  const config = {type: 'noisy-top-k', experts: 4, topK: 2} as const;
  const input = wave([2, 3, 5], 1);

  it('is the softmax over the two largest logits, with noise of deviation softplus(x V) in training', () => {
    const {route, weights} = routerWith(config, 5);
    const x = rowsOf(input);
    const times = (name: string) => rowsOf(tf.matMul(tf.tensor2d(x), weights.get(name)!.as2D(5, 4)));
    const noise = 0.3;
    const context: RouterContext = {noise: (shape) => tf.fill(shape, noise)};
    const epsilon = Math.sqrt(-2 * Math.log(1 - noise)) * Math.cos(2 * Math.PI * noise);
    for (const training of [false, true]) {
      const spread = times('router_noise');
      const logits = times('router').map((row, i) =>
        row.map((l, e) => (training ? l + Math.log1p(Math.exp(spread[i]![e]!)) * epsilon : l)),
      );
      const want = logits.map((row) => {
        const kept = [...row].sort((a, b) => b - a).slice(0, 2);
        return softmax(row.map((l) => (kept.includes(l) ? l : Number.NEGATIVE_INFINITY)));
      });
      const {gates, topK} = route({input, training, context});
      expectRows(gates, want);
      expect(topK).toBe(2);
    }
  });

  it('keeps probabilities as they are where renormalize is false, as Switch does', () => {
    const {route} = routerWith({...config, topK: 1, renormalize: false}, 5);
    const {gates, probabilities} = route({input});
    const p = rowsOf(probabilities);
    expectRows(
      gates,
      p.map((row) => row.map((v) => (v === Math.max(...row) ? v : 0))),
    );
  });

  it('adds its two losses in training, with the gradients of their values', () => {
    const {route, weights, router} = routerWith({...config, noise: 0, balance: 0.7, zLoss: 0.3}, 5);
    expect(router.hasLoss).toBe(true);
    expect(route({input}).loss).toBeUndefined();
    const kernel = weights.get('router')!;
    expectGradient(() => route({input, training: true}).loss!, kernel);
    const logits = tf.matMul(tf.reshape(input, [-1, 5]), kernel.as2D(5, 4));
    const p = tf.softmax(logits).reshape([2, 3, 4]);
    const selected = rowsOf(p).map((row) => row.map((v) => (v >= [...row].sort()[2]! ? 1 : 0)));
    const want =
      0.7 * value(balanceLoss(p, tf.tensor(selected).reshape([2, 3, 4]))) + 0.3 * value(zLoss(logits));
    expect(value(route({input, training: true}).loss!)).toBeCloseTo(want, 5);
  });

  it('has no loss where both weights are 0', () => {
    expect(routerWith({...config, balance: 0, zLoss: 0}, 5).router.hasLoss).toBe(false);
  });
});

describe('expert choice', () => {
  it('lets every expert keep its most probable tokens, padded ones never', () => {
    const {route} = routerWith({type: 'expert-choice', experts: 2, capacity: 1}, 3);
    const input = wave([2, 3, 3], 1);
    const {gates, probabilities} = route({input});
    const [kept, p] = [rowsOf(gates), rowsOf(probabilities)];
    for (const e of [0, 1]) {
      const chosen = p
        .map((row) => row[e]!)
        .sort((a, b) => b - a)
        .slice(0, 3);
      expect(kept.map((row) => row[e]!)).toEqual(p.map((row) => (chosen.includes(row[e]!) ? row[e]! : 0)));
    }
    const mask = tf.tensor2d([
      [1, 1, 0],
      [1, 0, 0],
    ]);
    const masked = rowsOf(route({input, context: {mask}}).gates);
    for (const t of [2, 4, 5]) expect(masked[t]).toEqual([0, 0]);
  });

  it('has the gradient of its values', () => {
    const {route, weights} = routerWith({type: 'expert-choice', experts: 3}, 3);
    const input = wave([6, 3], 1);
    expectGradient(() => tf.mul(route({input}).gates, wave([6, 3], 4)), weights.get('router')!);
  });
});

describe('routers of whole samples', () => {
  const input = tf.zeros([2, 3, 4]);
  const cases: [RouterConfig, RouterContext, number[][]][] = [
    [
      {type: 'intuition', experts: 3, temperature: 0.5},
      {
        intuition: tf.tensor2d([
          [1, 0, 2],
          [0, 1, 0],
        ]),
      },
      [softmax([2, 0, 4]), softmax([0, 2, 0])],
    ],
    [
      {type: 'task', experts: 3},
      {task: tf.tensor1d([2, 0])},
      [
        [0, 0, 1],
        [1, 0, 0],
      ],
    ],
    [
      {type: 'task', experts: 2, assign: [1, 0, 1]},
      {task: tf.tensor1d([2, 1], 'int32')},
      [
        [0, 1],
        [1, 0],
      ],
    ],
    [{type: 'fixed', experts: 4}, {}, [Array(4).fill(0.25), Array(4).fill(0.25)]],
    [
      {type: 'fixed', experts: 2, gates: [3, -1]},
      {},
      [
        [3, -1],
        [3, -1],
      ],
    ],
  ];

  it.each(cases)('%j decides for all tokens alike', (config, context, want) => {
    const {route} = routerWith(config, 4);
    const {gates} = route({input, context});
    expect(gates.shape).toEqual([2, 3, want[0]!.length]);
    expectRows(
      gates,
      want.flatMap((row) => [row, row, row]),
    );
    const flat = routerWith(config, 4).route({input: tf.zeros([2, 4]), context}).gates;
    expectRows(flat, want);
  });

  it('a sentence router reads the embedding, with the gradient of its values', () => {
    const {route, weights} = routerWith({type: 'sentence', experts: 3, width: 5, temperature: 2}, 4);
    const sentence = wave([2, 5], 3);
    const kernel = weights.get('router')!;
    expect(kernel.shape).toEqual([5, 3]);
    const want = rowsOf(tf.matMul(sentence as tf.Tensor2D, kernel.as2D(5, 3))).map((row) =>
      softmax(row.map((l) => l / 2)),
    );
    expectRows(
      route({input, context: {sentence}}).gates,
      want.flatMap((row) => [row, row, row]),
    );
    expectGradient(() => tf.mul(route({input, context: {sentence}}).gates, wave([2, 3, 3], 6)), kernel);
  });

  it.each<[RouterConfig, RouterContext, unknown, RegExp]>([
    [{type: 'task', experts: 2}, {}, ConfigError, /has no task.*setContext/],
    [{type: 'intuition', experts: 2}, {}, ConfigError, /has no intuition/],
    [{type: 'intuition', experts: 2}, {intuition: tf.zeros([3, 2])}, ShapeError, /\[3,2\].*\[2, 2\]/],
    [{type: 'sentence', experts: 2, width: 4}, {sentence: tf.zeros([2, 3])}, ShapeError, /\[2,3\].*\[2, 4\]/],
  ])('%j refuses a context %# that does not fit', (config, context, kind, message) => {
    const {route} = routerWith(config, 4);
    expect(() => route({input, context})).toThrow(kind as typeof ConfigError);
    expect(() => route({input, context})).toThrow(message);
  });
});

describe('composite', () => {
  const config: RouterConfig = {
    type: 'composite',
    experts: 3,
    routers: [{type: 'softmax'}, {type: 'noisy-top-k', topK: 1, noise: 0}, {type: 'task'}],
    weights: [1, 2, 1],
  };

  it('is the weighted mean of its parts, whose losses add up', () => {
    const {route, weights, router} = routerWith(config, 4);
    expect([...weights.keys()]).toEqual(['0_router', '1_router', '1_router_noise']);
    expect(router.normalized).toBe(false);
    const input = wave([2, 3, 4], 1);
    const context = {task: tf.tensor1d([0, 2])};
    const {gates, loss} = route({input, context, training: true});
    const part = (index: number, type: RouterConfig) => {
      const alone = createRouter(type);
      alone.build(4, (name) => ({read: () => weights.get(`${index}_${name}`)!}));
      return alone.route({input, context, training: true});
    };
    const softmaxed = rowsOf(part(0, {type: 'softmax', experts: 3}).gates);
    const noisy = part(1, {type: 'noisy-top-k', experts: 3, topK: 1, noise: 0});
    const task = rowsOf(part(2, {type: 'task', experts: 3}).gates);
    expectRows(
      gates,
      softmaxed.map((row, i) =>
        row.map((v, e) => 0.25 * v + 0.5 * rowsOf(noisy.gates)[i]![e]! + 0.25 * task[i]![e]!),
      ),
    );
    expect(value(loss!)).toBeCloseTo(value(noisy.loss!), 6);
    expectGradient(() => tf.mul(route({input, context}).gates, wave([2, 3, 3], 7)), weights.get('0_router')!);
  });

  it('comes back from its config', () => {
    const saved = createRouter(config).getConfig();
    expect(createRouter(JSON.parse(JSON.stringify(saved)) as RouterConfig).getConfig()).toEqual(saved);
  });
});

describe('fitIntuition', () => {
  /** Three bundles of directions, of any length. */
  const embeddings = Array.from({length: 60}, (_, i) => {
    const noise = [0.05 * Math.sin(i), 0.05 * Math.cos(2 * i), 0.05 * Math.sin(3 * i)];
    return noise.map((n, j) => (1 + (i % 7)) * (n + (j === i % 3 ? 1 : 0)));
  });

  it('finds the bundles, as directions of length 1, the same for the same seed', () => {
    const centroids = fitIntuition(embeddings, 3, {seed: 4});
    for (const centroid of centroids) expect(Math.hypot(...centroid)).toBeCloseTo(1, 10);
    const axes = centroids.map((centroid) => centroid.findIndex((v) => v > 0.99)).sort();
    expect(axes).toEqual([0, 1, 2]);
    expect(fitIntuition(embeddings, 3, {seed: 4})).toEqual(centroids);
    const starts = new Set(
      [1, 2, 3, 4].map((seed) => JSON.stringify(fitIntuition(embeddings, 2, {seed, rounds: 1}))),
    );
    expect(starts.size).toBeGreaterThan(1);
  });

  it('refuses what has no direction, and more clusters than embeddings', () => {
    expect(() => fitIntuition([[0, 0]], 1)).toThrow(ShapeError);
    expect(() => fitIntuition([[1, Number.NaN]], 1)).toThrow(/embedding 0 must be 2 finite/);
    expect(() => fitIntuition([[1, 0], [1]], 1)).toThrow(/embedding 1/);
    expect(() => fitIntuition([[1, 0]], 2)).toThrow(ConfigError);
  });

  it('scores sentence embeddings: the direction of the mean over real tokens, times the centroids', () => {
    const tokens = tf.tensor3d([
      [
        [3, 0],
        [0, 4],
        [9, 9],
      ],
    ]);
    const sentence = sentenceEmbedding(tokens, tf.tensor2d([[1, 1, 0]]));
    expectRows(sentence, [[0.6, 0.8]]);
    expectRows(
      intuitionScores(sentence, [
        [1, 0],
        [0, -1],
        [0.8, 0.6],
      ]),
      [[0.6, -0.8, 0.96]],
    );
  });
});

it.each<[object, RegExp]>([
  [{type: 'noisy-top-k', experts: 2, topK: 3}, /topK is 3/],
  [{type: 'noisy-top-k', experts: 2, balance: -1}, /balance is -1/],
  [{type: 'expert-choice', experts: 2, capacity: 0}, /capacity is 0/],
  [{type: 'task', experts: 2, assign: [0, 2]}, /assign\[1\] is 2/],
  [{type: 'fixed', experts: 2, gates: [1]}, /gates is \[1\]. Set it to 2 finite/],
  [{type: 'composite', experts: 2, routers: []}, /routers must be a list/],
  [{type: 'composite', experts: 2, routers: [{type: 'softmax', experts: 3}]}, /part has 3 experts/],
  [{type: 'composite', experts: 2, routers: [{type: 'softmax'}], weights: [0]}, /weights\[0\] is 0/],
  [{type: 'sentence', experts: 2}, /width is undefined/],
  [{type: 'zero', experts: 2, gamma: 2}, /gamma is 2/],
])('refuses %j', (config, message) => {
  expect(() => createRouter(config as RouterConfig)).toThrow(ConfigError);
  expect(() => createRouter(config as RouterConfig)).toThrow(message);
});
