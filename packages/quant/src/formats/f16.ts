import {checkOptions} from '@tfjs-peft/kernels';
import {defineFormat} from '../define-format.js';
import {StorageFormat} from './storage.js';

/** Weights as float16 (IEEE 754), to nearest, ties to even. No grid: a code is a number. */
export interface F16Config {
  type: 'f16';
}

defineFormat({
  type: 'f16',
  summary: 'the nearest float16',
  options: [],
  examples: [{type: 'f16'}],
  create(config) {
    checkOptions('f16 format', config, ['type']);
    return new StorageFormat('f16');
  },
});

declare module '../format.js' {
  interface FormatConfigs {
    f16: F16Config;
  }
}
