export {
  attachSideNetwork,
  type GraphSideConfig,
  type LoadSideOptions,
  loadSideNetwork,
  type SideConfig,
  type SideModel,
} from './side/attach.js';
export type {IsmoeConfig, SideNetworkConfig} from './side/config.js';
export {Ismoe, type IsmoeDims} from './side/ismoe.js';
export {type SideDims, SideNetwork} from './side/network.js';
export {type SidePart, SidePeft, type SideReport} from './side/peft.js';
export type {AddSideWeight, CopiesInit, SideInit} from './side/weights.js';
