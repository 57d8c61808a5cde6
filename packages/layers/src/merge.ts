// Registers LayersModels, and the layers that saved models have.
import './index.js';
import {registerMerger} from './core/lifecycle/mergeable.js';
import {layersMerger} from './layers-model/merging.js';

registerMerger('layer', layersMerger);

export type {Rename} from './core/io/rename.js';
export type {SaveResult} from './core/io/storage.js';
export type {StorageLocation} from './core/io/storage-location.js';
export type {SharedWith} from './core/lifecycle/adapted-model.js';
export type {LayerGap} from './core/lifecycle/layer-gap.js';
export type {LoadOptions} from './core/lifecycle/load.js';
export type {AnyPeft, SaveOptions, UpgradableModel} from './core/lifecycle/peft.js';
export type {Report, ReportSite} from './core/lifecycle/report.js';
export type {SiteInfo, SiteStatus} from './core/lifecycle/select.js';
export type {ExpertUsage, SiteUsage} from './core/sites/usage.js';
export {exportPlain, type MergeOptions, merge, unmerge} from './merge/merge.js';
