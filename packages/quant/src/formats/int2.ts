import {defineFormat} from '../define-format.js';
import {INTEGER_OPTIONS, IntegerFormat, type IntegerOptions, integerExamples} from './integer.js';

/**
 * Codes of 2 bits, one scale for each 32 rows of a column by default.
 */
export interface Int2Config extends IntegerOptions {
  type: 'int2';
}

defineFormat({
  type: 'int2',
  summary: 's (q - z) or s q + m, 4 codes at equal distances',
  options: INTEGER_OPTIONS,
  examples: integerExamples('int2'),
  create: (config) => new IntegerFormat('int2', 2, config, 32),
});

declare module '../format.js' {
  interface FormatConfigs {
    int2: Int2Config;
  }
}
