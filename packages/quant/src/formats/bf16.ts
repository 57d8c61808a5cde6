import {checkOptions} from '@tfjs-peft/kernels';
import {defineFormat} from '../define-format.js';
import {StorageFormat} from './storage.js';

/**
 * Weights as bfloat16 (the upper half of a float32), to nearest, ties to even. No grid: a code is a number.
 */
export interface Bf16Config {
  type: 'bf16';
}

defineFormat({
  type: 'bf16',
  summary: 'the nearest bfloat16',
  options: [],
  examples: [{type: 'bf16'}],
  create(config) {
    checkOptions('bf16 format', config, ['type']);
    return new StorageFormat('bf16');
  },
});

declare module '../format.js' {
  interface FormatConfigs {
    bf16: Bf16Config;
  }
}
