import type {Activation} from '../../types.js';

/** Abramowitz and Stegun 7.1.26: 1.5e-7 off at most. */
const ERF = `
  fn erfOf(v : f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * abs(v));
    let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(v) * (1.0 - p * exp(-v * v));
  }`;

/** WGSL's own tanh overflows for large arguments on some drivers. */
const TANH = `
  fn tanhOf(v : f32) -> f32 {
    return tanh(clamp(v, -15.0, 15.0));
  }`;

const GELU_INNER = '0.7978845608028654 * v * (1.0 + 0.044715 * v * v)';

const forward: Record<Activation, string> = {
  linear: 'v',
  relu: 'max(v, 0.0)',
  relu6: 'clamp(v, 0.0, 6.0)',
  elu: 'select(exp(v) - 1.0, v, v >= 0.0)',
  tanh: 'tanhOf(v)',
  sigmoid: '1.0 / (1.0 + exp(-v))',
  silu: 'v / (1.0 + exp(-v))',
  gelu: '0.5 * v * (1.0 + erfOf(v * 0.7071067811865476))',
  geluTanh: `0.5 * v * (1.0 + tanhOf(${GELU_INNER}))`,
};

const derivative: Record<Activation, string> = {
  linear: 'return 1.0;',
  relu: 'return select(0.0, 1.0, v > 0.0);',
  relu6: 'return select(0.0, 1.0, v > 0.0 && v < 6.0);',
  elu: 'return select(v + 1.0, 1.0, v >= 0.0);',
  tanh: 'return 1.0 - v * v;',
  sigmoid: 'return v * (1.0 - v);',
  silu: 'let s = 1.0 / (1.0 + exp(-v)); return s * (1.0 + v * (1.0 - s));',
  gelu: 'return 0.5 * (1.0 + erfOf(v * 0.7071067811865476)) + v * 0.3989422804014327 * exp(-0.5 * v * v);',
  geluTanh: `let t = tanhOf(${GELU_INNER});
    return 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * v * v);`,
};

function helpers(activation: Activation): string {
  if (activation === 'gelu') return ERF;
  return activation === 'tanh' || activation === 'geluTanh' ? TANH : '';
}

/** WGSL of `fn activate(v : f32) -> f32`. */
export function activateCode(activation: Activation): string {
  return `${helpers(activation)}
  fn activate(v : f32) -> f32 { return ${forward[activation]}; }`;
}

/**
 * WGSL of `fn slope(v : f32) -> f32`, from the activation's output or input, whichever `gradientFrom` says.
 */
export function slopeCode(activation: Activation): string {
  return `${helpers(activation)}
  fn slope(v : f32) -> f32 { ${derivative[activation]} }`;
}
