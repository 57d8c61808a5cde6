import type {LayerVariable} from '@tensorflow/tfjs-layers';
import {
  asContainer,
  buildContainer,
  type Container,
  isBidirectional,
  isContainer,
  isLayer,
  type Layer,
} from './internals.js';

/** A layer of a model, and where it is. */
export interface LocatedLayer {
  layer: Layer;
  /** Names from the outermost model inwards, joined by `/`; unique within a model. */
  path: string;
  /**
   * The layer's own name, its path, and its wrapper's name and path: each of them names this layer and no
   * other, or both directions.
   */
  names: readonly string[];
  /** Names and paths of the models around it. */
  around: readonly string[];
  /** The model that lists the layer, or the TimeDistributed or Bidirectional that wraps it. */
  holder: Layer;
}

/** What a model consists of. */
export interface ModelMap {
  /** The model itself, then all nested ones. */
  models: Container[];
  /** The models, and the inner ones through which Sequentials run. */
  containers: Container[];
  /**
   * Every layer that is not a model, a TimeDistributed or a Bidirectional,
   * once, in the order of `model.layers`.
   */
  layers: LocatedLayer[];
}

/**
 * Maps a model: nested models, the contents of TimeDistributed and both directions of Bidirectional are
 * entered, a layer that is used several times comes once, under the path that is met first.
 */
export function mapModel(model: Layer): ModelMap {
  const models: Container[] = [];
  const containers: Container[] = [];
  const layers: LocatedLayer[] = [];
  const seen = new Set<Layer>();
  const paths = new Set<string>();

  const visit = (
    layer: Layer,
    holder: Layer,
    prefix: string,
    around: readonly string[],
    wrappers: readonly string[],
  ) => {
    if (seen.has(layer)) return;
    seen.add(layer);
    const wanted = prefix === '' ? layer.name : `${prefix}/${layer.name}`;
    const names = [...new Set([layer.name, wanted, ...wrappers])];
    if (isContainer(layer)) {
      enter(layer, wanted, [...around, ...names]);
      return;
    }
    const wrapped = (layer as {layer?: unknown}).layer;
    if (layer.getClassName() === 'TimeDistributed' && isLayer(wrapped)) {
      visit(wrapped, layer, wanted, around, names);
      return;
    }
    if (isBidirectional(layer)) {
      for (const direction of [layer.forwardLayer, layer.backwardLayer])
        visit(direction, layer, wanted, around, names);
      return;
    }
    // Layer names may hold slashes, so two different places can spell the same path.
    let path = wanted;
    for (let copy = 2; paths.has(path); copy++) path = `${wanted}~${copy}`;
    paths.add(path);
    layers.push({layer, path, names, around, holder});
  };

  const enter = (container: Container, path: string, around: readonly string[]) => {
    buildContainer(container);
    models.push(container);
    containers.push(container);
    if (container.model != null) containers.push(asContainer(container.model));
    for (const layer of container.layers) visit(layer, container, path, around, []);
  };

  seen.add(model);
  if (isContainer(model)) enter(model, '', []);
  return {models, containers, layers};
}

/**
 * {@link withParts} of a layer; for one direction of a Bidirectional, also the layer from which both were
 * made, which is the one that is saved.
 */
export function partsAt({layer, holder}: LocatedLayer): Layer[] {
  const parts = withParts(layer);
  return isBidirectional(holder) ? [...withParts(holder.layer), ...parts] : parts;
}

/**
 * A layer and everything inside it that holds weights: wrapped layers, both directions of an
 * RNN, its cells, a composite's parts.
 */
export function withParts(layer: Layer): Layer[] {
  const found = new Set<Layer>();
  const visit = (part: Layer) => {
    if (found.has(part)) return;
    found.add(part);
    for (const value of Object.values(part)) {
      for (const inner of Array.isArray(value) ? value : [value]) if (isLayer(inner)) visit(inner);
    }
  };
  visit(layer);
  return [...found];
}

/** Every weight of a layer or a model, once, in the order of its layers, whether it is trained now or not. */
export function allWeights(layer: Layer): LayerVariable[] {
  const layers = isContainer(layer) ? mapModel(layer).layers.map((at) => at.layer) : [layer];
  return [...new Set(layers.flatMap(({weights}) => weights))];
}
