// biome-ignore-all assist/source/organizeImports: the order is that of tables and messages.
/**
 * Every built-in quantiser, in the order of tables and messages: one line each, by which it is defined and
 * exported.
 */
import {quantizers} from '../define-quantizer.js';

export {type NearestConfig, quantizeNearest} from './nearest.js';
export type {ClipConfig} from './clip.js';
import './clip.js';
export type {GnpIqConfig} from './gnp-iq/config.js';
export type {GnpIqChoice, GnpIqDraw, GnpIqState} from './gnp-iq/state.js';
export {GnpIqQuantizer} from './gnp-iq/quantizer.js';
export {type GptqConfig, GptqQuantizer} from './gptq/quantizer.js';

quantizers.close();
