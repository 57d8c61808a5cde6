import type * as tfl from '@tensorflow/tfjs-layers';
import type {SharedWith} from '../../core/lifecycle/adapted-model.js';
import type {Container, Layer} from '../../core/tfjs/internals.js';
import {mapModel} from '../../core/tfjs/walk.js';
import {layersInside, modelsListing, outermost} from './known-models.js';

/** Models from outside that list some of a model's layers, or the model itself. */
export function modelsSharing(model: tfl.LayersModel): Container[] {
  const {containers, layers} = mapModel(model);
  return modelsListing(new Set<Layer>([...containers, ...layers.map(({layer}) => layer)]));
}

/** The same by name, where it is layers with weights that they have. */
export function sharedWith(model: tfl.LayersModel): SharedWith[] {
  const {models, layers} = mapModel(model);
  const weighted = layers.filter(({layer}) => layer.weights.length > 0);
  return outermost(modelsSharing(model), models).flatMap((other) => {
    const inside = layersInside(other);
    const shared = weighted.filter(({layer}) => inside.has(layer)).map(({path}) => path);
    return shared.length === 0 ? [] : [{model: other.name, layers: shared}];
  });
}
