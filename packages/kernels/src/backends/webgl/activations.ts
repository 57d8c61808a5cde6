import type {Activation} from '../../types.js';

/** Abramowitz and Stegun 7.1.26: 1.5e-7 off at most. */
const ERF = `
  vec4 erfOf(vec4 v) {
    vec4 t = 1.0 / (1.0 + 0.3275911 * abs(v));
    vec4 p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(v) * (1.0 - p * exp(-v * v));
  }`;

/** WebGL 1 has no tanh. */
const TANH = `
  vec4 tanhOf(vec4 v) {
    return 1.0 - 2.0 / (exp(2.0 * clamp(v, -15.0, 15.0)) + 1.0);
  }`;

const POSITIVE = '(1.0 - step(v, vec4(0.0)))';
const GELU_INNER = '0.7978845608028654 * v * (1.0 + 0.044715 * v * v)';

const forward: Record<Activation, string> = {
  linear: 'v',
  relu: 'max(v, 0.0)',
  relu6: 'clamp(v, 0.0, 6.0)',
  elu: 'mix(exp(min(v, 0.0)) - 1.0, v, step(0.0, v))',
  tanh: 'tanhOf(v)',
  sigmoid: '1.0 / (1.0 + exp(-v))',
  silu: 'v / (1.0 + exp(-v))',
  gelu: '0.5 * v * (1.0 + erfOf(v * 0.7071067811865476))',
  geluTanh: `0.5 * v * (1.0 + tanhOf(${GELU_INNER}))`,
};

const derivative: Record<Activation, string> = {
  linear: 'return vec4(1.0);',
  relu: `return ${POSITIVE};`,
  relu6: `return ${POSITIVE} * (1.0 - step(6.0, v));`,
  elu: 'return mix(v + 1.0, vec4(1.0), step(0.0, v));',
  tanh: 'return 1.0 - v * v;',
  sigmoid: 'return v * (1.0 - v);',
  silu: 'vec4 s = 1.0 / (1.0 + exp(-v)); return s * (1.0 + v * (1.0 - s));',
  gelu: 'return 0.5 * (1.0 + erfOf(v * 0.7071067811865476)) + v * 0.3989422804014327 * exp(-0.5 * v * v);',
  geluTanh: `vec4 t = tanhOf(${GELU_INNER});
    return 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * v * v);`,
};

function helpers(activation: Activation): string {
  if (activation === 'gelu') return ERF;
  return activation === 'tanh' || activation === 'geluTanh' ? TANH : '';
}

/** GLSL of `vec4 activate(vec4 v)`. */
export function activateCode(activation: Activation): string {
  return `${helpers(activation)}
  vec4 activate(vec4 v) { return ${forward[activation]}; }`;
}

/** GLSL of `vec4 slope(vec4 v)`, from the activation's output or input, whichever `gradientFrom` says. */
export function slopeCode(activation: Activation): string {
  return `${helpers(activation)}
  vec4 slope(vec4 v) { ${derivative[activation]} }`;
}
