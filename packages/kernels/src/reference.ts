/** The ops in float64, plain TypeScript, no tfjs: what every kernel is tested against. */
export type {Codes as PackedCodeArray, PackedCodes} from './packed/data.js';
export type {
  PACKED_BITS,
  PACKED_VALUES,
  PackedBits,
  PackedGrid,
  PackedParts,
  PackedValues,
} from './packed/layout.js';
export {activationReference, erf} from './reference/activations.js';
export {type AdamNumbers, adamReference} from './reference/adam.js';
export {blendReference} from './reference/blend.js';
export {type CombineReferenceInputs, combineReference, mixReference} from './reference/combine.js';
export {softmaxGatesReference, streamGatesReference} from './reference/gates.js';
export {numericGradient} from './reference/gradient.js';
export {layerNormReference} from './reference/layer-norm.js';
export {at, generate, type Matrix, matMulReference, matrix, transpose, zeros} from './reference/matrix.js';
export {unpackReference} from './reference/packed.js';
export {topKReference} from './reference/top-k.js';
export type {ACTIVATIONS, Activation, Mix, SCALES, ScaleName} from './types.js';
