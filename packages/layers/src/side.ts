export type {SaveResult} from './core/io/storage.js';
export type {StorageLocation} from './core/io/storage-location.js';
export type {PlainInit} from './core/random.js';
export {
  attachSideNetwork,
  type GraphSideConfig,
  type LoadSideOptions,
  loadSideNetwork,
  type SideConfig,
  type SideModel,
} from './side/attach.js';
export type {
  COMBINES as SIDE_COMBINES,
  EXPERT_ACTIVATIONS,
  FullIsmoeConfig,
  FullSideConfig,
  GATES as ISMOE_GATES,
  INITS as SIDE_INITS,
  IsmoeConfig,
  NORMS as ISMOE_NORMS,
  SALIENTS,
  SideNetworkConfig,
  WIRINGS as SIDE_WIRINGS,
} from './side/config.js';
export {Ismoe, type IsmoeDims} from './side/ismoe.js';
export {type SideDims, SideNetwork} from './side/network.js';
export type {Disposable as DisposableModel, SidePart, SidePeft, SideReport} from './side/peft.js';
export type {AddSideWeight, CopiesInit, SideInit} from './side/weights.js';
