import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, countTrainable, PeftDense, type SiteDims} from '../index.js';

interface T5 {
  layers: number;
  heads: number;
  d: number;
  dFf: number;
}

const HEAD_DIM = 64;

/** T5 v1.1: so many encoder layers and as many decoder layers, of which each has a second attention module. */
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

it('makes no tensors', () => {
  const before = tf.memory();
  countTrainable({type: 'molora', rank: 512, experts: 64}, site(65_536, 65_536));
  expect(tf.memory()).toMatchObject({numTensors: before.numTensors, numBytes: before.numBytes});
});

it.each<AdapterConfig>([
  {type: 'lora'},
  {type: 'ia3'},
  {type: 'molora', experts: 3, rank: 2},
  {type: 'mov', experts: 5},
])('counts what a layer with %p trains', (config) => {
  const layer = new PeftDense({units: 7});
  layer.addAdapter('default', config);
  layer.activate('default');
  layer.build([null, 5]);
  const trained = layer.trainableWeights.reduce((n, w) => n + tf.util.sizeFromShape(w.shape as number[]), 0);
  expect(countTrainable(config, site(5, 7))).toBe(trained);
});
