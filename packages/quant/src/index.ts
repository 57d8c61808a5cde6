export {type QuantizationError, quantizationError} from './error.js';
export {type Granularity, type Units, unitAt, unitsOf} from './granularity.js';
export type {ZeroPoint} from './min-max.js';
export {dequantize, type PackedWeight, packedBytes, unpackCodes} from './packed-weight.js';
export {type QuantizeOptions, quantize} from './quantize.js';
export type {Rounding} from './rounding.js';
