import * as tf from '@tensorflow/tfjs';
import {createRouter, type ZeroRouterConfig} from '../../index.js';
import {expectGradient, expectRows, routerWith, rowsOf, wave} from '../../testing/route.js';
import {anchorsOf, spreadOver} from './windows.js';

beforeAll(() => tf.setBackend('cpu'));

const input = tf.zeros([2, 5, 3]);
const streams = () => ({base: wave([2, 5, 4], 2), delta: wave([2, 5, 4], 3)});

function gatesOf(config: Partial<ZeroRouterConfig>, view = streams()): tf.Tensor {
  return routerWith({type: 'zero', experts: 4, ...config}, 3).route({input, ...view}).gates;
}

const count = (row: number[]) => row.filter((value) => value > 0).length;

describe('Auto Top-K', () => {
  it('keeps all experts as theta goes to 0', () => {
    expectRows(gatesOf({theta: 0}), rowsOf(gatesOf({selection: 'all'})));
  });

  it('keeps the most probable alone at theta 1, with weight 1', () => {
    expectRows(gatesOf({theta: 1}), rowsOf(gatesOf({selection: 'top-k', topK: 1})));
    for (const row of rowsOf(gatesOf({theta: 1}))) expect(row.sort()).toEqual([0, 0, 0, 1]);
  });

  it('keeps a number of experts between, no more than maxActive, that sum to 1', () => {
    const [free, capped] = [gatesOf({theta: 0.5}), gatesOf({theta: 0.5, maxActive: 2})].map(rowsOf);
    expect(new Set(free!.map(count)).size).toBeGreaterThan(1);
    expect(Math.max(...capped!.map(count))).toBe(2);
    for (const row of [...free!, ...capped!]) expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  });
});

describe('n-gram windows', () => {
  const tokens = tf.range(0, 14).reshape([2, 7, 1]);
  const positions = (n: number, anchor: 'last' | 'previous', length = 7) =>
    (anchorsOf(tokens.slice([0, 0, 0], [1, length, 1]), n, anchor).arraySync() as number[][][])[0]!.flat();

  it.each([
    [1, 'last', 3, [0, 1, 2]],
    [3, 'last', 7, [2, 5, 6]],
    [3, 'last', 6, [2, 5]],
    [4, 'last', 3, [2]],
    [3, 'previous', 7, [0, 2, 5]],
    [3, 'previous', 6, [0, 2]],
    [4, 'previous', 3, [0]],
  ] as const)('of %i tokens, anchor %s, take %i tokens to positions %p', (n, anchor, length, want) => {
    expect(positions(n, anchor, length)).toEqual(want);
  });

  it('give every token its window’s row', () => {
    const spread = spreadOver(anchorsOf(tokens, 3, 'last'), 3, 7).arraySync() as number[][][];
    expect(spread.map((row) => row.flat())).toEqual([
      [2, 2, 2, 5, 5, 5, 6],
      [9, 9, 9, 12, 12, 12, 13],
    ]);
  });

  it('do not let a token see later ones where causal is set', () => {
    const config = {nGram: 2, causal: true} as const;
    const {base, delta} = streams();
    const before = rowsOf(gatesOf(config, {base, delta}));
    for (let t = 0; t < 5; t++) {
      // Everything after position t of the first sequence is replaced.
      const later = tf.range(0, 5).greater(tf.scalar(t)).toFloat().reshape([1, 5, 1]);
      const change = tf.concat([tf.mul(later, 9).mul(wave([1, 5, 4], 8)), tf.zeros([1, 5, 4])]);
      const after = rowsOf(gatesOf(config, {base: tf.add(base, change), delta: tf.add(delta, change)}));
      expect(after.slice(0, t + 1)).toEqual(before.slice(0, t + 1));
    }
    const leaky = {nGram: 2, anchor: 'last', selection: 'all'} as const;
    const [first] = rowsOf(gatesOf(leaky));
    const shifted = tf.add(
      base,
      tf
        .oneHot([1], 5)
        .reshape([1, 5, 1])
        .toFloat()
        .mul(wave([1, 1, 4], 8)),
    );
    expect(rowsOf(gatesOf(leaky, {base: shifted, delta}))[0]).not.toEqual(first);
  });
});

it('does not depend on the other tokens with the normaliser of the paper, but does with the code’s', () => {
  const {base, delta} = streams();
  const alone = {base: base.slice([0, 0, 0], [1, 1, 4]), delta: delta.slice([0, 0, 0], [1, 1, 4])};
  for (const [form, same] of [
    ['paper', true],
    ['code', false],
  ] as const) {
    const [together] = rowsOf(gatesOf({form}));
    const {gates} = routerWith({type: 'zero', experts: 4, form}, 3).route({
      input: tf.zeros([1, 1, 3]),
      ...alone,
    });
    const close = rowsOf(gates)[0]!.every((value, e) => Math.abs(value - together![e]!) < 1e-6);
    expect(close).toBe(same);
  }
});

it.each<Partial<ZeroRouterConfig>>([
  {},
  {selection: 'auto-sigmoid', normalizer: 'batch', theta: 0.5},
  {selection: 'top-k-sigmoid', topK: 2},
  {nGram: 2},
  {nGram: 3, causal: true, stream: 'sum'},
])('has the gradient of its values, %p', (config) => {
  const base = tf.variable(wave([2, 5, 4], 2));
  const delta = tf.variable(wave([2, 5, 4], 3));
  const {route} = routerWith({type: 'zero', experts: 4, temperature: 2, ...config}, 3);
  const cotangent = wave([2, 5, 4], 5);
  const loss = () => tf.mul(route({input, base, delta}).gates, cotangent);
  expectGradient(loss, base);
  expectGradient(loss, delta);
});

describe('its losses', () => {
  const config: ZeroRouterConfig = {type: 'zero', experts: 4, importance: 0.5, divergence: 2};

  it('come with training only, and have the gradients of their values', () => {
    const base = tf.variable(wave([2, 5, 4], 2));
    const delta = tf.variable(wave([2, 5, 4], 3));
    const {route} = routerWith(config, 3);
    expect(route({input, base, delta}).loss).toBeUndefined();
    const loss = () => route({input, base, delta, training: true}).loss!;
    expectGradient(loss, base);
    expectGradient(loss, delta);
  });

  it('send no gradient through an output that is still zero', () => {
    const delta = tf.variable(tf.zeros([2, 5, 4]));
    const {base} = streams();
    const {route} = routerWith(config, 3);
    const {grads} = tf.variableGrads(
      () => route({input, base, delta, training: true}).loss as tf.Scalar,
      [delta],
    );
    expect(tf.max(tf.abs(grads[delta.name]!)).dataSync()[0]).toBe(0);
  });

  it('leave padded tokens out', () => {
    const {base, delta} = streams();
    const {route} = routerWith(config, 3);
    const mask = tf.tensor2d([
      [1, 1, 1, 0, 0],
      [1, 1, 1, 0, 0],
    ]);
    const short = (tensor: tf.Tensor) => tensor.slice([0, 0, 0], [2, 3, 4]);
    const masked = route({input, base, delta, training: true, context: {mask}}).loss!;
    const cut = route({
      input: tf.zeros([2, 3, 3]),
      base: short(base),
      delta: short(delta),
      training: true,
    }).loss!;
    expect(masked.dataSync()[0]).toBeCloseTo(cut.dataSync()[0]!, 5);
  });
});

it('jitters logits in training only, by the width it is given', () => {
  const {base, delta} = streams();
  const {route} = routerWith({type: 'zero', experts: 4, jitter: 0.1, selection: 'all'}, 3);
  const still = rowsOf(route({input, base, delta}).gates);
  const at = (u: number) =>
    rowsOf(route({input, base, delta, training: true, context: {noise: (shape) => tf.fill(shape, u)}}).gates);
  expect(
    at(0.5)
      .flat()
      .every((value, i) => Math.abs(value - still.flat()[i]!) < 1e-6),
  ).toBe(true);
  const {route: cooler} = routerWith({type: 'zero', experts: 4, temperature: 0.5 / 0.9, selection: 'all'}, 3);
  expectRows(cooler({input, base, delta}).gates, at(0));
});

it('keeps every option through its config', () => {
  const config = createRouter({type: 'zero', experts: 3, maxActive: 2, nGram: 3, causal: true}).getConfig();
  expect(config).toMatchObject({anchor: 'previous', maxActive: 2});
  expect(createRouter(config).getConfig()).toEqual(config);
});
