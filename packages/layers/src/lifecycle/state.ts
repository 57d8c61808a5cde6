import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import type {AdapterConfig} from '../adapters/adapter.js';
import {deriveSeed} from '../random.js';
import {PeftLayer} from '../sites/peft-layer.js';
import {standIn} from '../sites/stand-in.js';
import {type SiteUsage, UsageRecorder} from '../sites/usage.js';
import {Freezer} from '../upgrade/freeze.js';
import {type Container, internals, isContainer, type Layer} from '../upgrade/internals.js';
import type {Plan} from '../upgrade/plan.js';
import {replaceLayer} from '../upgrade/surgery.js';
import type {Selected} from '../upgrade/targets.js';
import {type Located, mapModel, withParts} from '../upgrade/walk.js';
import {ContextStore} from './context.js';
import {Recompiler} from './recompile.js';

/** A layer of the model and the layer that stands in for it. */
interface Site {
  original: Layer;
  layer: PeftLayer;
  holder: Layer;
}

/** What the model remembers of an adapter besides its weights. */
export interface StoredAdapter {
  config: AdapterConfig;
  /** Config at each site, by the site's path; with all defaults filled in. */
  sites: Map<string, AdapterConfig>;
  selected: Selected[];
}

/** Which upgrade put a layer into a model. */
const owners = new WeakMap<Layer, ModelState>();

/**
 * A model under upgrade: which layers were replaced, which adapters there are, and everything that is needed to bring the model back.
 * Its changes are synchronous and all or nothing.
 */
export class ModelState {
  readonly adapters = new Map<string, StoredAdapter>();
  private readonly sites = new Map<string, Site>();
  private readonly trained = new Map<string, Located>();
  private readonly freezer = new Freezer();
  private readonly recompiler = new Recompiler();
  readonly context = new ContextStore();
  private tracked: number | null = null;
  private activeName: string | null = null;

  constructor(readonly model: tfl.LayersModel) {
    const container: unknown = model;
    if (typeof container !== 'object' || container === null || !isContainer(container as Layer)) {
      throw new ConfigError(
        'The model must be a LayersModel, as tf.loadLayersModel, tf.model or tf.sequential give it.',
      );
    }
    this.checkAlive();
  }

  /** @throws ConfigError if the model is disposed. */
  checkAlive(): void {
    if (internals(this.model as unknown as Layer)._refCount === 0) {
      throw new ConfigError(`Model '${this.model.name}' is disposed. Load it again.`);
    }
  }

  /** Name of the active adapter; null while the model is as it was before. */
  get active(): string | null {
    return this.activeName;
  }

  /** The model's layers, checked for layers that another upgrade has put there. */
  get layers(): Located[] {
    const {layers} = mapModel(this.model);
    const foreign = layers.find(({layer}) => owners.has(layer) && owners.get(layer) !== this);
    if (foreign !== undefined) {
      throw new ConfigError(
        `Layer '${foreign.path}' is part of the upgrade of model '${owners.get(foreign.layer)!.model.name}'. ` +
          'Detach that upgrade first, and upgrade the outermost model only.',
      );
    }
    return layers;
  }

  /** The layer as a site of this upgrade, if it is one. */
  readonly isSite = (layer: Layer): PeftLayer | undefined =>
    layer instanceof PeftLayer && owners.get(layer) === this ? layer : undefined;

  /** The layer at a path that carries an adapter. */
  site(path: string): PeftLayer {
    return this.sites.get(path)!.layer;
  }

  /** Layers that are trained in full, in the order of the model. */
  get trainedLayers(): Located[] {
    return [...this.trained.values()];
  }

  /**
   * Adds an adapter and makes it the active one. On an error the model is as before.
   *
   * @throws ConfigError if a layer would be adapted and trained in full, a model is being trained, or cannot be compiled again.
   */
  add(plan: Plan): void {
    for (const {info, status} of plan.selected) {
      const clash =
        (status === 'adapted' && this.trained.has(info.name)) ||
        (status === 'trained' && this.sites.has(info.name));
      if (clash) {
        throw new ConfigError(
          `Layer '${info.name}' cannot be adapted and trained in full, by whatever adapter. Leave it out of targets or alsoTrain.`,
        );
      }
    }
    const {models, layers} = mapModel(this.model);
    const preparation = this.recompiler.prepare(models);
    const before = this.activeName;
    const trained = plan.selected.filter(({status}) => status === 'trained').map(({at}) => at);
    const newlyTrained = trained.filter(({path}) => !this.trained.has(path));
    try {
      for (const at of newlyTrained) this.trained.set(at.path, at);
      const frozen = layers.filter(
        ({path, layer}) => !this.trained.has(path) && this.isSite(layer) === undefined,
      );
      this.freezer.freeze(frozen.flatMap(({layer}) => withParts(layer)));
      this.freezer.train(newlyTrained.flatMap(({layer}) => withParts(layer)));
      this.freezer.open(models);
      for (const {at, config} of plan.sites) {
        // The place in the model, not the name: tfjs numbers unnamed layers anew for each copy of a model.
        const place = layers.findIndex(({path}) => path === at.path);
        const seed = plan.seed === undefined ? undefined : deriveSeed(plan.seed, place);
        this.makeSite(at).addAdapter(plan.name, config, seed);
      }
      const configs = new Map(plan.sites.map(({at, config}) => [at.path, config]));
      this.adapters.set(plan.name, {config: plan.adapter, sites: configs, selected: plan.selected});
      this.activate(plan.name);
    } catch (error) {
      preparation.abandon();
      for (const {at} of plan.sites) {
        const layer = this.sites.get(at.path)?.layer;
        if (layer?.adapterNames.includes(plan.name)) layer.removeAdapter(plan.name);
      }
      this.adapters.delete(plan.name);
      for (const {path} of newlyTrained) this.trained.delete(path);
      this.freezer.freeze(newlyTrained.flatMap(({layer}) => withParts(layer)));
      if (this.adapters.size === 0) this.undo();
      else this.activate(before);
      throw error;
    }
    preparation.commit();
  }

  /** Makes an adapter active everywhere it has weights, or none; models that are compiled are not looked at. */
  activate(name: string | null): void {
    const {sites} = (name === null ? undefined : this.adapters.get(name)) ?? {sites: new Map()};
    for (const [path, {layer}] of this.sites) layer.activate(sites.has(path) ? name : null);
    this.activeName = name;
  }

  /** Makes an adapter active, and compiles models again whose trainable weights have changed. */
  enable(name: string): void {
    const preparation = this.recompiler.prepare(this.models());
    this.activate(name);
    preparation.commit();
  }

  /** Brings the model back to what it was before the first adapter came, and disposes all adapters. */
  detach(): void {
    const models = this.models();
    const preparation = this.recompiler.prepare(models, true);
    this.undo();
    preparation.commit();
    // Compiling a Sequential writes the variables' trainable bits.
    this.freezer.restore();
  }

  /** Counts from now on how each site's experts are used, telling so many tasks apart; or, with null, no longer. */
  trackUsage(tasks: number | null): void {
    this.tracked = tasks;
    for (const {layer} of this.sites.values()) {
      layer.usage?.reset();
      if (tasks === null) delete layer.usage;
      else layer.usage = new UsageRecorder(tasks);
    }
  }

  /** What was counted, by site in the order of the upgrade; null if nothing is tracked. */
  async usage(reset: boolean): Promise<SiteUsage[] | null> {
    if (this.tracked === null) return null;
    const read: SiteUsage[] = [];
    for (const [path, {layer}] of this.sites) {
      const usage = await layer.usage!.read(path);
      if (usage !== null) read.push(usage);
      if (reset) layer.usage?.reset();
    }
    return read;
  }

  private models(): Container[] {
    return mapModel(this.model).models;
  }

  private makeSite(at: Located): PeftLayer {
    const known = this.sites.get(at.path);
    if (known !== undefined) return known.layer;
    const layer = standIn(at.layer);
    // The Dense is frozen, or may have been before; what is trained here is the adapter.
    layer.trainable = true;
    layer.context = this.context.get;
    if (this.tracked !== null) layer.usage = new UsageRecorder(this.tracked);
    replaceLayer(at.layer, layer, at.holder, mapModel(this.model).containers);
    owners.set(layer, this);
    this.sites.set(at.path, {original: at.layer, layer, holder: at.holder});
    return layer;
  }

  private undo(): void {
    const {containers} = mapModel(this.model);
    this.trackUsage(null);
    this.context.clear();
    for (const {original, layer, holder} of this.sites.values()) {
      for (const name of this.adapters.keys()) {
        if (layer.adapterNames.includes(name)) layer.removeAdapter(name);
      }
      replaceLayer(layer, original, holder, containers);
      owners.delete(layer);
    }
    this.sites.clear();
    this.adapters.clear();
    this.trained.clear();
    this.activeName = null;
    this.freezer.restore();
  }
}
