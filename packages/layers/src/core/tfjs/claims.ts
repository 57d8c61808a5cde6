import {ConfigError, shared} from '@tfjs-peft/kernels';
import type {Layer} from './internals.js';
import type {LocatedLayer} from './model-map.js';

/**
 * The upgrade of which a layer with weights is part: it was replaced, put in the place of another, or frozen
 * by it.
 */
const owners = shared('layers.owners', () => new WeakMap<Layer, {readonly name: string}>());

/** The layers with weights that belong to the upgrade of one model, and so to no other. */
export class Claims {
  private readonly layers = new Set<Layer>();

  /** @param model The model as errors name it. */
  constructor(private readonly model: {readonly name: string}) {}

  has(layer: Layer): boolean {
    return this.layers.has(layer);
  }

  add(layer: Layer): void {
    owners.set(layer, this.model);
    this.layers.add(layer);
  }

  /** Adds the layers that belong to no upgrade, and returns them. */
  addFree(layers: readonly LocatedLayer[]): LocatedLayer[] {
    const free = layers.filter(({layer}) => layer.weights.length > 0 && !owners.has(layer));
    for (const {layer} of free) this.add(layer);
    return free;
  }

  /** @throws ConfigError if a layer belongs to the upgrade of another model. */
  check(layers: readonly LocatedLayer[]): void {
    const foreign = layers.find(({layer}) => owners.has(layer) && !this.has(layer));
    if (foreign === undefined) return;
    throw new ConfigError(
      `Layer '${foreign.path}' is part of the upgrade of model '${owners.get(foreign.layer)!.name}'. ` +
        'Detach that upgrade first, or upgrade only the outermost model that has the layer.',
    );
  }

  clear(): void {
    for (const layer of this.layers) owners.delete(layer);
    this.layers.clear();
  }
}
