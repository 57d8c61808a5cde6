import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs';
import {deviation} from '@tfjs-peft/testing/compare';
import {deriveSeed, initialValues} from '../core/random.js';
import {type Matrix, matrix} from '../testing/double.js';
import type {SideNetworkConfig} from './config.js';
import {SideNetwork} from './network.js';
import {sideNetwork} from './testing/reference.js';

beforeAll(() => tf.setBackend('cpu'));

type Values = Map<string, {shape: number[]; values: Float64Array}>;

const [BATCH, TOKENS] = [2, 7];

function drawn(name: string, shape: number[], scale = 0.5) {
  const values = initialValues({type: 'normal', stddev: scale}, shape, deriveSeed(5, name));
  return {shape, values: Float64Array.from(values)};
}

function asMatrix({shape, values}: {shape: number[]; values: Float64Array}): Matrix {
  return matrix(values, shape.at(-1)!);
}

/** The sum of the outputs' products with a cotangent, in double precision, and the outputs. */
function double(network: SideNetwork, weights: Values, inputs: Values, tokens: number, mask: number[][]) {
  const taps = network.widths.map((_, i) => asMatrix(inputs.get(`h${i}`)!));
  const read = (name: string) => asMatrix(weights.get(name)!);
  const y = Array.from({length: BATCH}, (_, b) => {
    const own = taps.map((tap) => tap.slice(b * tokens, (b + 1) * tokens));
    return sideNetwork(own, mask[b]!, read, network.config);
  }).flat(2);
  const cotangent = inputs.get('cotangent')!.values;
  return {y, loss: y.reduce((sum, value, i) => sum + value * cotangent[i]!, 0)};
}

const ODD: SideNetworkConfig = {width: 6, heads: 3, hidden: 5, experts: 3, topK: 2};

test.each<[string, SideNetworkConfig, {widths: number[]; tokens?: number; masked?: boolean}]>([
  ['as drawn', ODD, {widths: [9, 7, 11]}],
  ['gated, all experts', {...ODD, combine: 'lst', topK: 3, activation: 'gelu'}, {widths: [5, 5, 5]}],
  ['gated, without an embedding', {...ODD, combine: 'lst', init: 'none', norm: 'l2'}, {widths: [9, 7]}],
  ['one tap', {...ODD, init: 'none', gates: 'raw', topK: 1, experts: 5}, {widths: [7]}],
  ['masked', {...ODD, gates: 'renorm', salient: 'mean'}, {widths: [9, 7], masked: true}],
  [
    'one token a sample',
    {...ODD, norm: 'layernorm', gates: 'renorm', routerBias: true},
    {widths: [9, 7], tokens: 1},
  ],
  ['no interaction', {...ODD, interaction: false, activation: 'gelu_tanh'}, {widths: [9, 7]}],
  ['no interaction, raw', {...ODD, interaction: false, gates: 'raw'}, {widths: [9, 7]}],
  ['as UniPT', {...ODD, wiring: 'unipt'}, {widths: [9, 7, 11]}],
  ['as UniPT, masked', {...ODD, wiring: 'unipt', salient: 'mean'}, {widths: [9, 7], masked: true}],
])('%s: outputs and gradients are those of double precision', async (_what, config, given) => {
  const {widths, tokens = TOKENS, masked = false} = given;
  const network = new SideNetwork(config, {widths, tokens: tokens > 1});
  const weights: Values = new Map();
  const variables = new Map<string, tf.Variable>();
  network.build((name, shape) => {
    const value = drawn(name, shape);
    weights.set(name, value);
    variables.set(name, tf.variable(tf.tensor(Float32Array.from(value.values), shape)));
    return {read: () => variables.get(name)!};
  });
  const inputs: Values = new Map(
    widths.map((width, i) => [`h${i}`, drawn(`h${i}`, [BATCH, tokens, width], 1)]),
  );
  inputs.set('cotangent', drawn('cotangent', [BATCH, tokens, widths.at(-1)!]));
  const mask = Array.from({length: BATCH}, (_, b) =>
    Array.from({length: tokens}, (_, t) => (masked && t >= tokens - 2 - b ? 0 : 1)),
  );
  for (const [name, value] of inputs)
    if (name !== 'cotangent')
      variables.set(name, tf.variable(tf.tensor(Float32Array.from(value.values), value.shape)));
  const taps = widths.map((_, i) => variables.get(`h${i}`)!);
  const shown = masked ? tf.tensor2d(mask) : undefined;
  const run = () => network.apply(taps, shown);
  const want = double(network, weights, inputs, tokens, mask);
  expect(deviation(await run().data(), want.y)).toBeLessThan(1e-5);

  const {values, shape} = inputs.get('cotangent')!;
  const cotangent = tf.tensor(Float32Array.from(values), shape);
  const {grads} = tf.variableGrads(
    () => tf.sum(tf.mul(run(), cotangent)) as tf.Scalar,
    [...variables.values()],
  );
  for (const [name, variable] of variables) {
    const stored = (weights.get(name) ?? inputs.get(name))!;
    const before = stored.values.slice();
    const direction = drawn(`direction of ${name}`, stored.shape, 1).values;
    const at = (step: number) => {
      stored.values.forEach((_, i) => {
        stored.values[i] = before[i]! + step * direction[i]!;
      });
      return double(network, weights, inputs, tokens, mask).loss;
    };
    const wanted = (at(1e-6) - at(-1e-6)) / 2e-6;
    stored.values.set(before);
    const gradient =
      (grads[variable.name]?.dataSync() as Float32Array | undefined) ?? new Float32Array(before.length);
    const got = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
    const size = gradient.reduce((sum, value, i) => sum + Math.abs(value * direction[i]!), 0);
    expect([name, Math.abs(got - wanted) <= 2e-4 * Math.max(1, size)]).toEqual([name, true]);
  }
});

describe('shapes', () => {
  const weighted = (config: SideNetworkConfig, widths: number[], tokens = true) => {
    const network = new SideNetwork(config, {widths, tokens});
    network.build((name, shape) => {
      const value = tf.tensor(Float32Array.from(drawn(name, shape).values), shape);
      return {read: () => value};
    });
    return network;
  };

  test('of places of a map, and of samples without tokens, are those of the last tap', () => {
    const maps = weighted(ODD, [5, 7]);
    const [small, large] = [tf.randomNormal([2, 3, 4, 5]), tf.randomNormal([2, 3, 4, 7])];
    const y = maps.apply([small, large]);
    expect(y.shape).toEqual([2, 3, 4, 7]);
    const flat = maps.apply([tf.reshape(small, [2, 12, 5]), tf.reshape(large, [2, 12, 7])]);
    expect(deviation(flat.dataSync(), y.dataSync())).toBe(0);
    const rows = weighted(ODD, [5, 7], false);
    expect(rows.apply([tf.ones([3, 5]), tf.ones([3, 7])]).shape).toEqual([3, 7]);
  });

  test('that do not fit are refused, and nothing is left', () => {
    const network = weighted(ODD, [5, 7]);
    const before = tf.memory().numTensors;
    const refused = (shapes: number[][], message: RegExp, mask?: tf.Tensor2D) => {
      const taps = shapes.map((shape) => tf.ones(shape));
      expect(() => network.apply(taps, mask)).toThrow(message);
      tf.dispose([taps, mask ?? []]);
    };
    refused([[2, 3, 5]], /there are 1 taps for 2 widths/);
    refused(
      [
        [2, 3, 5],
        [2, 4, 7],
      ],
      /tap 1 has 3 tokens of 5 channels for 2 samples, but must have 4 of 5/,
    );
    refused(
      [
        [2, 3, 6],
        [2, 3, 7],
      ],
      /tap 1 has 3 tokens of 6 channels/,
    );
    refused([[2, 3, 5], [7]], /A tap gives \[7\]/);
    refused(
      [
        [2, 3, 5],
        [2, 3, 7],
      ],
      /mask is \[2,4\], but must be \[2, 3\]/,
      tf.ones([2, 4]),
    );
    expect(tf.memory().numTensors).toBe(before);
  });
});

test.each<[string, SideNetworkConfig, number[], RegExp]>([
  ['unknown', {rank: 4} as SideNetworkConfig, [8, 8], /unknown option 'rank'.*one of: experts, topK/],
  ['topK', {experts: 2, topK: 3}, [8, 8], /topK is 3\. Set topK to an integer from 1 to 2/],
  ['gates', {gates: 'hard' as 'raw'}, [8, 8], /gates is 'hard'.*'softmax', 'renorm', 'raw'/],
  ['heads', {width: 6}, [8, 8], /width is 6 and heads 4\. Set width to a multiple of heads/],
  ['both', {width: 8, reduction: 2}, [8, 8], /width and reduction are both given/],
  ['one tap', {}, [8], /with init 'embedding' the first tap.*set init to 'none'/],
  ['unipt', {wiring: 'unipt', combine: 'lst'}, [8, 8], /combine and init are for the ladder/],
  ['widths', {}, [], /widths must be a list/],
  ['a width', {}, [8, 0], /widths\[1\] is 0/],
  ['size', {width: 65536, heads: 1, hidden: 65536, experts: 64}, [8, 8], /above \d+ parameters/],
])('bad options are refused: %s', (_what, config, widths, message) => {
  expect(() => new SideNetwork(config, {widths}).build(() => ({read: () => tf.scalar(0)}))).toThrow(message);
});

test('defaults are those of the paper, where it says something', () => {
  const {config} = new SideNetwork({}, {widths: [768, 768]});
  expect(config).toMatchObject({experts: 4, gates: 'softmax', norm: 'softmax', combine: 'sum'});
  expect(config).toMatchObject({init: 'embedding', salient: 'first', wiring: 'ladder', topK: 2});
  expect(config).toMatchObject({width: 96, hidden: 384, heads: 4, activation: 'relu'});
  // Rounded up to a multiple of heads.
  expect(new SideNetwork({reduction: 8, heads: 4}, {widths: [8, 50]}).config.width).toBe(8);
});

test('LST beside T5-base trains 3,878,712 weights, 1.740 % of 222,903,552', () => {
  const [d, width, ff, buckets, heads] = [768, 96, 3072, 32, 12];
  const t5 = (w: number, f: number, layers: {encoder: number; decoder: number}) => {
    // Attention, MLP and norms of T5 have no biases, and its heads together are as wide as the model.
    const [attention, mlp] = [4 * w * w, 2 * w * f];
    const encoder = layers.encoder * (attention + mlp + 2 * w);
    const decoder = layers.decoder * (2 * attention + mlp + 3 * w);
    return encoder + decoder + 2 * (w + buckets * heads);
  };
  const backbone = 32_128 * d + t5(d, ff, {encoder: 12, decoder: 12});
  expect(backbone).toBe(222_903_552);
  // Of each 12 layers, 0, 4 and 8 have no side layer; the taps are the embedding and the other nine.
  const counts = new Map<string, number>();
  const network = new SideNetwork({reduction: 8, combine: 'lst'}, {widths: new Array(10).fill(d)});
  expect(network.config.width).toBe(width);
  network.build((name, shape) => {
    counts.set(name, tf.util.sizeFromShape(shape));
    const value = tf.zeros(shape);
    return {read: () => value};
  });
  const of = (name: RegExp) =>
    [...counts].reduce((sum, [own, count]) => (name.test(own) ? sum + count : sum), 0);
  const [down, shares, up] = [of(/(^|[./])down/), of(/share/), of(/^up/)];
  expect([down, shares, up]).toEqual([10 * (d * width + width), 9, width * d + d]);
  // As released: shares of layers that were dropped are there too, and one `up` serves the decoder.
  const released = t5(width, ff / 8, {encoder: 9, decoder: 9}) + 2 * down + 2 * (shares + 3) + up;
  expect(released).toBe(3_878_712);
  expect(((100 * released) / backbone).toFixed(3)).toBe('1.740');
});
