import type {Log} from '../log.js';
import {activations, refuseOtherMeanings} from './activations.js';
import {causalConvolutions} from './causal.js';
import {classNames} from './class-names.js';
import {type ContainerRule, everyContainer, everyLayer, type LayerConfig, type LayerRule} from './config.js';
import {dtypes} from './dtypes.js';
import {convertNodes} from './functional.js';
import {convertInputs} from './inputs.js';
import {keywords} from './keywords.js';
import {dropMasks} from './masks.js';
import {objects} from './objects.js';
import {convertOps} from './ops.js';
import {recurrent} from './recurrent.js';
import {refuseUnknown} from './unknown-layers.js';

/** Each rule looks for what it repairs, whichever version wrote the file. They run in this order. */
const CONTAINER_RULES: readonly ContainerRule[] = [dropMasks, convertOps, convertNodes, causalConvolutions];
const LAYER_RULES: readonly LayerRule[] = [
  classNames,
  convertInputs,
  dtypes,
  keywords,
  activations,
  objects,
  recurrent,
];

/**
 * Rewrites the config of a model, in place, into one that tfjs-layers reads.
 *
 * @param kerasVersion the version that wrote it, as `3.15.1`; empty if unknown.
 * @throws UnsupportedModelError naming a layer that tfjs cannot be given, and the way out.
 */
export function applyRules(model: LayerConfig, kerasVersion: string, log: Log): void {
  for (const {layer} of [{layer: model}, ...everyLayer(model)])
    for (const rule of LAYER_RULES) rule(layer, log);
  for (const container of [...everyContainer(model)])
    for (const rule of CONTAINER_RULES) rule(container, log);
  if (Number.parseInt(kerasVersion, 10) >= 3) refuseOtherMeanings(model);
  refuseUnknown(model);
}
