export {Calibration} from './calibration.js';
export {
  createFormat,
  defineFormat,
  type FormatConfigOf,
  type FormatDefinition,
  formatDefinitions,
} from './define-format.js';
export {
  createQuantizer,
  defineQuantizer,
  type QuantizerConfigOf,
  type QuantizerDefinition,
  quantizerDefinitions,
} from './define-quantizer.js';
export {dequantize} from './dequantize.js';
export {type QuantizationError, quantizationError} from './error.js';
// By a star, since only so can another package add to the interface FormatConfigs.
export * from './format.js';
export type {IntegerOptions, ZeroPoint} from './formats/integer.js';
export * from './formats/list.js';
export {fromPacked, type QuantizedMatrix, toPacked} from './matrix.js';
export {type QuantizeOptions, quantize} from './quantize.js';
export * from './quantizer.js';
export * from './quantizers/list.js';
export type {Rounding} from './rounding.js';
export {type Group, Units} from './units.js';
