import {defineFormat} from '../define-format.js';
import {INTEGER_OPTIONS, IntegerFormat, type IntegerOptions, integerExamples} from './integer.js';

/**
 * Codes of 8 bits, one scale for each channel by default. GGUF's Q8_0 is `{group: 32, symmetric: true,
 * scales: 'f16'}`.
 */
export interface Int8Config extends IntegerOptions {
  type: 'int8';
}

defineFormat({
  type: 'int8',
  summary: 's (q - z) or s q + m, 256 codes at equal distances',
  options: INTEGER_OPTIONS,
  examples: integerExamples('int8'),
  create: (config) => new IntegerFormat('int8', 8, config, 'channel'),
});

declare module '../format.js' {
  interface FormatConfigs {
    int8: Int8Config;
  }
}
