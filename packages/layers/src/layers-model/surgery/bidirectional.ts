import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {PlannedSite} from '../../core/lifecycle/plan.js';
import {isBidirectional, type Layer} from '../../core/tfjs/internals.js';
import type {LocatedLayer} from '../../core/tfjs/model-map.js';

/**
 * Whether both directions of every Bidirectional carry the same adapter: a saved one
 * knows a single config for the two.
 *
 * @throws UnsupportedSiteError naming the direction that differs.
 */
export function checkDirections(sites: readonly PlannedSite<LocatedLayer>[]): void {
  const configs = new Map<Layer, string>(sites.map(({at, config}) => [at.layer, JSON.stringify(config)]));
  for (const {at} of sites) {
    if (!isBidirectional(at.holder)) continue;
    const {forwardLayer, backwardLayer, name} = at.holder;
    const other = at.layer === forwardLayer ? backwardLayer : forwardLayer;
    if (configs.get(other) === configs.get(at.layer)) continue;
    throw new UnsupportedSiteError(
      `Layer '${at.path}' would carry another adapter than '${other.name}', the other direction of ` +
        `Bidirectional '${name}', with which ` +
        `it is saved as one. Target '${name}', which selects both directions.`,
    );
  }
}
