// biome-ignore-all assist/source/organizeImports: the order is that of tables and messages.
/**
 * Every built-in weight format, in the order of tables and messages: one line each, by which it is defined
 * and exported.
 */
import {formats} from '../define-format.js';

export * from './int8.js';
export * from './int4.js';
export * from './int3.js';
export * from './int2.js';
export * from './nf4.js';
export * from './f16.js';
export * from './bf16.js';

formats.close();
