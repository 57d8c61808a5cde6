import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, countTrainable, PeftDense, type SiteDims} from '../../index.js';
import {ADAPTERS} from '../../testing/adapters.js';

interface T5 {
  layers: number;
  heads: number;
  d: number;
  dFf: number;
}

const HEAD_DIM = 64;

/**
 * T5 v1.1: so many encoder layers and as many decoder layers, of which each has a second attention module.
 */
const T5_SIZES: Record<string, T5> = {
  base: {layers: 12, heads: 12, d: 768, dFf: 2048},
  large: {layers: 24, heads: 16, d: 1024, dFf: 2816},
  XL: {layers: 24, heads: 32, d: 2048, dFf: 5120},
  XXL: {layers: 24, heads: 64, d: 4096, dFf: 10240},
};

/** Trainable parameters where every attention module and every MLP of a T5 has these sites. */
function total(
  size: string,
  config: AdapterConfig,
  sites: (t5: T5) => {attention: SiteDims[]; mlp: SiteDims[]},
): number {
  const t5 = T5_SIZES[size]!;
  const {attention, mlp} = sites(t5);
  const sum = (dims: SiteDims[]) => dims.reduce((n, site) => n + countTrainable(config, site), 0);
  return 3 * t5.layers * sum(attention) + 2 * t5.layers * sum(mlp);
}

const site = (inputDim: number, outputDim: number): SiteDims => ({inputDim, outputDim});

/** Keys, values and the hidden vector, with routers that read the layer's input: the paper's form. */
const scaled = ({heads, d, dFf}: T5) => {
  const inner = heads * HEAD_DIM;
  return {attention: [site(d, inner), site(d, inner)], mlp: [site(d, dFf)]};
};

/** The same sites as the authors' code has them: the router reads one head, or the hidden vector itself. */
const scaledAsReleased = ({heads, dFf}: T5) => {
  const inner = heads * HEAD_DIM;
  return {attention: [site(HEAD_DIM, inner), site(HEAD_DIM, inner)], mlp: [site(dFf, dFf)]};
};

/** q, k, v, o, and wi_0 and wo. */
const projections = ({heads, d, dFf}: T5) => {
  const inner = heads * HEAD_DIM;
  const into = site(d, inner);
  return {attention: [into, into, into, site(inner, d)], mlp: [site(d, dFf), site(dFf, d)]};
};

describe('trainable parameters over a T5 v1.1', () => {
  it.each([
    ['base', 247_577_856],
    ['large', 783_150_080],
    ['XL', 2_849_757_184],
    ['XXL', 11_135_332_352],
  ])('are few of those of %s, of which these sites have most', (size, expected) => {
    const {layers, d, dFf} = T5_SIZES[size]!;
    const {attention, mlp} = projections(T5_SIZES[size]!);
    // The second branch of the MLP has no adapter in the released code.
    const kernels = (sites: SiteDims[]) => sites.reduce((n, s) => n + s.inputDim * s.outputDim, 0);
    const inLayers = 3 * layers * kernels(attention) + 2 * layers * (kernels(mlp) + d * dFf);
    const vocabulary = 2 * 32_128 * d;
    const biases = 2 * 32 * T5_SIZES[size]!.heads;
    const norms = (2 * layers + 1 + 3 * layers + 1) * d;
    expect(inLayers + vocabulary + biases + norms).toBe(expected);
    expect(total(size, {type: 'mov', experts: 60}, scaledAsReleased) / expected).toBeLessThan(0.04);
  });

  it('MoV-60 of XXL has 0.863 % of 11 billion, (IA)³ of XL 0.018 % of 3', () => {
    const mov = total('XXL', {type: 'mov', experts: 60}, scaledAsReleased);
    expect(mov).toBe(94_924_800);
    expect(((100 * mov) / 11e9).toFixed(3)).toBe('0.863');
    expect(((100 * total('XL', {type: 'ia3'}, scaled)) / 3e9).toFixed(3)).toBe('0.018');
  });

  it.each([
    ['base', 104_448],
    ['large', 282_624],
    ['XL', 540_672],
    ['XXL', 1_081_344],
  ])('(IA)³ of %s', (size, expected) => {
    expect(total(size, {type: 'ia3'}, scaled)).toBe(expected);
  });

  it.each([
    ['base', 158_208],
    ['large', 427_008],
    ['XL', 795_648],
    ['XXL', 1_582_080],
  ])('MoV per expert of %s, routers as released', (size, expected) => {
    expect(total(size, {type: 'mov', experts: 1}, scaledAsReleased)).toBe(expected);
    expect(total(size, {type: 'mov', experts: 60}, scaledAsReleased)).toBe(60 * expected);
    const {layers, heads, d, dFf} = T5_SIZES[size]!;
    const code = {type: 'mov', experts: 1, form: 'code'} as const;
    const attention = 2 * countTrainable({...code, heads}, site(d, heads * HEAD_DIM));
    expect(3 * layers * attention + 2 * layers * countTrainable(code, site(d, dFf))).toBe(expected);
  });

  it.each([
    ['base', 178_176],
    ['large', 479_232],
    ['XL', 933_888],
    ['XXL', 1_867_776],
  ])('MoV per expert of %s, routers of width d_m', (size, expected) => {
    const {layers, d} = T5_SIZES[size]!;
    expect(expected).toBe(total(size, {type: 'ia3'}, scaled) + (3 * layers * 2 + 2 * layers) * d);
    expect(total(size, {type: 'mov', experts: 1}, scaled)).toBe(expected);
    expect(total(size, {type: 'mov', experts: 10}, scaled)).toBe(10 * expected);
  });

  it.each([
    ['base', 1_425_408, 1_603_584],
    ['large', 3_833_856, 4_313_088],
    ['XL', 7_471_104, 8_404_992],
    ['XXL', 14_942_208, 16_809_984],
  ])('LoRA of rank 4, and MoLoRA per expert, of %s', (size, lora, molora) => {
    expect(total(size, {type: 'lora', rank: 4}, projections)).toBe(lora);
    expect(total(size, {type: 'molora', rank: 4, experts: 1}, projections)).toBe(molora);
    expect(total(size, {type: 'molora', rank: 4, experts: 15}, projections)).toBe(15 * molora);
  });
});

/** A LLaVA-OneVision: language layers with grouped keys and values, and, for 7B, a vision tower. */
const LLAVA = {
  '7B': [
    ...Array.from({length: 28}, () => [
      site(3584, 3584),
      site(3584, 512),
      site(3584, 512),
      site(3584, 3584),
    ]).flat(),
    ...Array.from({length: 26 * 4}, () => site(1152, 1152)),
  ],
  '0.5B': Array.from({length: 24}, () => [
    site(896, 896),
    site(896, 128),
    site(896, 128),
    site(896, 896),
  ]).flat(),
};

/** LLaMA2: q, k, v, o, gate, up and down of every layer. */
const llama = (layers: number, d: number, dFf: number) =>
  Array.from({length: layers}, () => [
    ...Array.from({length: 4}, () => site(d, d)),
    site(d, dFf),
    site(d, dFf),
    site(dFf, d),
  ]).flat();

const over = (sites: SiteDims[], config: AdapterConfig) =>
  sites.reduce((total, dims) => total + countTrainable(config, dims), 0);

const lime = (type: 'lora' | 'dora' | 'lora-fa', sharedModulator = true): AdapterConfig => ({
  type: 'lime',
  experts: 4,
  over: {type, rank: 2},
  sharedModulator,
});

describe('trainable parameters over a LLaVA-OneVision (LiME, tables 2 and 7)', () => {
  it.each<[keyof typeof LLAVA, string, AdapterConfig, number]>([
    ['7B', 'LoRA', {type: 'lora', rank: 2}, 1_740_800],
    ['7B', 'LoRA-FA', {type: 'lora-fa', rank: 2}, 698_368],
    ['7B', 'DoRA', {type: 'dora', rank: 2}, 2_089_984],
    ['7B', 'LiME over LoRA', lime('lora'), 3_486_936],
    ['7B', 'LiME over DoRA', lime('dora'), 3_836_120],
    ['7B', 'LiME over LoRA-FA', lime('lora-fa'), 2_444_504],
    ['7B', 'LiME without the shared modulator', lime('lora', false), 3_137_536],
    ['7B', 'MoLoRA, which is MoLA', {type: 'molora', experts: 4, rank: 2}, 9_048_064],
    ['0.5B', 'LiME over LoRA', lime('lora'), 516_192],
    ['0.5B', 'LiME over DoRA', lime('dora'), 565_344],
    ['0.5B', 'LiME over LoRA-FA', lime('lora-fa'), 344_160],
  ])('%s: %s', (size, _method, config, expected) => {
    expect(over(LLAVA[size], config)).toBe(expected);
  });

  it.each([
    ['7B', 3584, 89_601],
    ['0.5B', 896, 22_401],
  ])('%s: LiME over a prompt of 10 tokens', (_size, d, expected) => {
    const embedding: SiteDims = {inputDim: 152_000, outputDim: d, kind: 'lookup'};
    const over = {type: 'prompt', virtualTokens: 10, learnableBase: true} as const;
    expect(countTrainable({type: 'lime', experts: 4, over}, embedding)).toBe(expected);
  });

  it('LiME has at least 3 times fewer than MoLoRA with 8 experts of rank 4 at a square layer', () => {
    const square = site(512, 512);
    const molora = countTrainable({type: 'molora', experts: 8, rank: 4}, square);
    expect(
      molora / countTrainable({type: 'lime', experts: 8, over: {type: 'lora', rank: 4}}, square),
    ).toBeGreaterThan(3);
  });
});

describe('trainable parameters over a LLaMA2 (T-REX)', () => {
  const models = {'7B': llama(32, 4096, 11008), '13B': llama(40, 5120, 13824)};

  it.each<[keyof typeof models, AdapterConfig, number]>([
    ['7B', {type: 'mor1e'}, 51_872_192],
    ['13B', {type: 'mor1e'}, 81_183_280],
    ['7B', {type: 'mor1e', mode: '1v1', rank: 32}, 116_392_384],
    ['13B', {type: 'mor1e', mode: '1v1', rank: 32}, 182_190_640],
    ['7B', {type: 'lora', rank: 32}, 79_953_920],
    ['13B', {type: 'lora', rank: 32}, 125_173_760],
    ['7B', {type: 'molora', experts: 8, rank: 4}, 89_063_424],
    ['13B', {type: 'molora', experts: 8, rank: 4}, 139_427_840],
  ])('%s: %j', (size, config, expected) => {
    expect(over(models[size], config)).toBe(expected);
  });

  it('T-REX has 35.1 % fewer than LoRA of rank 32 at 13B', () => {
    const share = over(models['13B'], {type: 'mor1e'}) / over(models['13B'], {type: 'lora', rank: 32});
    expect((100 * (1 - share)).toFixed(1)).toBe('35.1');
  });
});

it('makes no tensors', () => {
  const before = tf.memory();
  countTrainable({type: 'molora', rank: 512, experts: 64}, site(65_536, 65_536));
  expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numBytes: before.numBytes});
});

it.each<AdapterConfig>([
  ...ADAPTERS,
  {type: 'mor1e', clusters: 3},
  {type: 'lime', over: {type: 'slice', rank: 2}, form: 'code'},
  {type: 'lime', router: {type: 'noisy-top-k'}},
])('counts what a layer with %p trains', (config) => {
  const layer = new PeftDense({units: 7});
  layer.addAdapter('default', config);
  layer.activate('default');
  layer.build([null, 5]);
  const trained = layer.trainableWeights.reduce((n, w) => n + tf.util.sizeFromShape(w.shape as number[]), 0);
  expect(countTrainable(config, site(5, 7))).toBe(trained);
});
