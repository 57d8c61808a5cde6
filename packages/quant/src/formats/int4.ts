import {defineFormat} from '../define-format.js';
import {INTEGER_OPTIONS, IntegerFormat, type IntegerOptions, integerExamples} from './integer.js';

/**
 * Codes of 4 bits, one scale for each 32 rows of a column by default. GGUF's Q4_0 is `{symmetric: true,
 * scales: 'f16'}`, its Q4_1 `{offset: 'float', scales: 'f16'}`.
 */
export interface Int4Config extends IntegerOptions {
  type: 'int4';
}

defineFormat({
  type: 'int4',
  summary: 's (q - z) or s q + m, 16 codes at equal distances',
  options: INTEGER_OPTIONS,
  examples: integerExamples('int4'),
  create: (config) => new IntegerFormat('int4', 4, config, 32),
});

declare module '../format.js' {
  interface FormatConfigs {
    int4: Int4Config;
  }
}
