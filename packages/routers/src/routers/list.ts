// biome-ignore-all assist/source/organizeImports: the order is that of tables and messages.
/**
 * Every built-in router, in the order of tables and messages: one line each, by which it is defined and
 * exported.
 */
import {routers} from '../define.js';

export * from './softmax.js';
export * from './top-k.js';
export * from './noisy-top-k.js';
export * from './expert-choice.js';
export * from './zero/router.js';
export * from './intuition.js';
export * from './sentence.js';
export * from './task.js';
export * from './fixed.js';
export * from './hash.js';
export * from './composite.js';

routers.close();
