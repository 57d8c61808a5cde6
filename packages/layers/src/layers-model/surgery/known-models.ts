import * as tfl from '@tensorflow/tfjs-layers';
import {shared} from '@tfjs-peft/kernels';
import type {SharedWith} from '../../core/lifecycle/adapted-model.js';
import {
  asContainer,
  type Container,
  internals,
  isBidirectional,
  isContainer,
  isLayer,
  type Layer,
} from '../../core/tfjs/internals.js';
import {mapModel} from '../../core/tfjs/model-map.js';

/** Weakly held, in the order in which they were made. */
const models = shared('layers.models', () => new Set<WeakRef<Container>>());
const seen = shared('layers.models-seen', () => new WeakSet<Container>());
const forget = new FinalizationRegistry<WeakRef<Container>>((model) => models.delete(model));

/**
 * Lets models be found by the layers that they list. tfjs keeps no such list, and a layer does not know its
 * models; but each asks for the name of its class while it is made.
 */
export function knowModels(): void {
  const {prototype} = tfl.LayersModel;
  const {getClassName} = prototype;
  prototype.getClassName = function (this: tfl.LayersModel) {
    const model = asContainer(this);
    if (!seen.has(model)) {
      seen.add(model);
      const weak = new WeakRef(model);
      models.add(weak);
      forget.register(model, weak);
    }
    return getClassName.call(this);
  };
}

/**
 * Other models that list some of these layers or models themselves, including the models inside Sequentials.
 * Only models that were made since this package was imported are known.
 */
export function modelsListing(layers: ReadonlySet<Layer>): Container[] {
  const all = [...models].flatMap((model) => model.deref() ?? []);
  return all.filter(
    (model) =>
      isContainer(model) &&
      internals(model)._refCount !== 0 &&
      !layers.has(model) &&
      model.layers.some((layer) => layers.has(layer)),
  );
}

/** Models from outside that list some of a model's layers, or the model itself. */
export function modelsSharing(model: tfl.LayersModel): Container[] {
  const {containers, layers} = mapModel(model);
  return modelsListing(new Set<Layer>([...containers, ...layers.map(({layer}) => layer)]));
}

/** The same by name, for models that share layers with weights. */
export function sharedWith(model: tfl.LayersModel): SharedWith[] {
  const {models, layers} = mapModel(model);
  const weighted = layers.filter(({layer}) => layer.weights.length > 0);
  return outermost(modelsSharing(model), models).flatMap((other) => {
    const inside = layersInside(other);
    const shared = weighted.filter(({layer}) => inside.has(layer)).map(({path}) => path);
    return shared.length === 0 ? [] : [{model: other.name, layers: shared}];
  });
}

/**
 * Leaves out the models inside Sequentials, of these or others, even those that their Sequential has replaced
 * since.
 */
function outermost(listing: readonly Container[], others: readonly Container[]): Container[] {
  const inside = new Set([...listing, ...others].map(({name}) => `${name}_model`));
  return listing.filter(({name}) => !inside.has(name));
}

/** All layers of a model, of models in it, and in wrappers. */
function layersInside(model: Container): Set<Layer> {
  const found = new Set<Layer>();
  const visit = (layer: unknown) => {
    if (!isLayer(layer) || found.has(layer)) return;
    found.add(layer);
    if (isContainer(layer)) layer.layers.forEach(visit);
    else if (isBidirectional(layer)) [layer.forwardLayer, layer.backwardLayer].forEach(visit);
    else visit((layer as {layer?: unknown}).layer);
  };
  visit(model);
  return found;
}
