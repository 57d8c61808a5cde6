import {defineFormat} from '../define-format.js';
import {INTEGER_OPTIONS, IntegerFormat, type IntegerOptions, integerExamples} from './integer.js';

/**
 * Codes of 3 bits, one scale for each 32 rows of a column by default.
 */
export interface Int3Config extends IntegerOptions {
  type: 'int3';
}

defineFormat({
  type: 'int3',
  summary: 's (q - z) or s q + m, 8 codes at equal distances',
  options: INTEGER_OPTIONS,
  examples: integerExamples('int3'),
  create: (config) => new IntegerFormat('int3', 3, config, 32),
});

declare module '../format.js' {
  interface FormatConfigs {
    int3: Int3Config;
  }
}
