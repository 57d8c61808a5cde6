// biome-ignore-all assist/source/organizeImports: the order is that of tables and messages.
/**
 * Every built-in adapter, in the order of tables and messages: one line each, by
 * which it is defined and exported.
 */
import {adapters} from './registry.js';

export * from './lora/adapter.js';
export * from './dora/adapter.js';
export * from './lora-fa/adapter.js';
export * from './ia3/adapter.js';
export * from './molora/adapter.js';
export * from './mov/adapter.js';
export * from './mor1e/adapter.js';
export * from './lime/adapter.js';
export * from './vera/adapter.js';

adapters.close();
