// Registers LayersModels, and the layers that saved models have.
import './index.js';
import {savePacked} from './quantize/saving/save.js';

savePacked();

export type {StorageLocation} from './core/io/storage-location.js';
export type {UpgradableModel} from './core/lifecycle/peft.js';
export type {SiteInfo, Target, Targets} from './core/lifecycle/select.js';
export type {CalibrationData, CalibrationInputs} from './quantize/calibrate.js';
export {type GnpIqCallbackOptions, type GnpIqEvent, gnpIqCallback} from './quantize/gnp-iq-callback.js';
export {dequantizeModel, type QuantizeModelOptions, quantizeModel} from './quantize/quantize-model.js';
export type {QuantizationReport, QuantizedLayer} from './quantize/report.js';
export {loadQuantized} from './quantize/saving/load.js';
export {type LoadedPacked, type LoadedWeight, loadPacked} from './quantize/saving/load-packed.js';
