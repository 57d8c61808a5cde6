import type {AdapterConfig} from '../../core/adapters/adapter.js';
import type {Layer} from '../../core/tfjs/internals.js';
import type {LocatedLayer} from '../../core/tfjs/model-map.js';
import {PeftDense} from '../sites/peft-dense.js';
import type {PeftLayer} from '../sites/peft-layer.js';
import {PeftWrapper} from '../sites/peft-wrapper.js';

/** A layer of the model and the layer that stands in for it. */
interface ReplacedLayer {
  original: Layer;
  layer: PeftLayer;
  holder: Layer;
}

/** Puts one layer in another's place, in all models that list it. */
export type Replace = (from: Layer, to: Layer, holder: Layer) => void;

/**
 * The layers of a model that carry adapters. Its user may take some out of the
 * model, move them, and put them back.
 */
export class LayerSites {
  private readonly all = new Set<ReplacedLayer>();
  private here = new Map<string, ReplacedLayer>();

  /** @param join Tells a new layer of the model that it is in. */
  constructor(
    private readonly replace: Replace,
    private readonly join: (layer: PeftLayer) => void,
  ) {}

  /** Those that the model has, by path. */
  get entries(): [string, PeftLayer][] {
    return [...this.here].map(([path, {layer}]) => [path, layer]);
  }

  at(path: string): PeftLayer | undefined {
    return this.here.get(path)?.layer;
  }

  /** Finds out again which of them the model has, and where. */
  locate(layers: readonly LocatedLayer[]): void {
    const sites = new Map<Layer, ReplacedLayer>([...this.all].map((site) => [site.layer, site]));
    const found = layers.flatMap(({path, layer}): [string, ReplacedLayer][] => {
      const site = sites.get(layer);
      return site === undefined ? [] : [[path, site]];
    });
    this.here = new Map(found);
  }

  /** The config of an adapter at each of them that carries it. */
  configsOf(adapter: string): Map<string, AdapterConfig> {
    const own = this.entries.filter(([, layer]) => layer.adapterNames.includes(adapter));
    return new Map(own.map(([path, layer]) => [path, layer.adapterConfig(adapter)]));
  }

  /** Returns the layer with adapters at a place, and makes it if there is none. */
  make({path, layer: original, holder}: LocatedLayer): PeftLayer {
    const known = this.here.get(path);
    if (known !== undefined) return known.layer;
    const layer = standIn(original);
    // The Dense is frozen, or may have been before; here, only the adapter is trained.
    layer.trainable = true;
    this.join(layer);
    this.replace(original, layer, holder);
    const site = {original, layer, holder};
    this.all.add(site);
    this.here.set(path, site);
    return layer;
  }

  /** Disposes an adapter wherever it is. Where no adapter is left, the original layer returns. */
  drop(adapter: string): void {
    for (const site of this.all) {
      const {original, layer, holder} = site;
      if (layer.adapterNames.includes(adapter)) layer.removeAdapter(adapter);
      if (layer.adapterNames.length > 0) continue;
      this.replace(layer, original, holder);
      this.all.delete(site);
      for (const [path, other] of this.here) if (other === site) this.here.delete(path);
    }
  }
}

/**
 * The layer with adapters that stands in for a built one, of whatever class.
 *
 * @throws UnsupportedSiteError if it cannot carry an adapter; ConfigError if it is not built.
 */
function standIn(layer: Layer): PeftLayer {
  return layer.getClassName() === 'Dense' ? PeftDense.fromDense(layer) : PeftWrapper.standIn(layer);
}
