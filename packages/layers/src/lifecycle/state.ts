import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, shared} from '@tfjs-peft/kernels';
import {describe, type RouterContext} from '@tfjs-peft/routers';
import type {SiteDims} from '../adapters/adapter.js';
import type {FileSite} from '../io/adapter-file.js';
import type {Hashable} from '../io/hash.js';
import {deriveSeed} from '../random.js';
import {PeftLayer} from '../sites/peft-layer.js';
import {standIn} from '../sites/stand-in.js';
import type {SiteUsage} from '../sites/usage.js';
import {rememberOrder, WrapperOrder} from '../sites/weight-order.js';
import {checkDirections} from '../upgrade/directions.js';
import {Freezer} from '../upgrade/freeze.js';
import {type Container, internals, isContainer, type Layer} from '../upgrade/internals.js';
import {layersInside, modelsListing, outermost} from '../upgrade/known-models.js';
import {FusedLayerNorms} from '../upgrade/layer-norm.js';
import {OwnArguments} from '../upgrade/own-arguments.js';
import {type Plan, planUpgrade, type Select, type UpgradeConfig} from '../upgrade/plan.js';
import type {Selected, Targets} from '../upgrade/select.js';
import {checkRoom} from '../upgrade/sequence.js';
import {replaceLayer} from '../upgrade/surgery.js';
import {countParameters, describeLayer, selectLayers} from '../upgrade/targets.js';
import {type Located, mapModel, partsAt, withParts} from '../upgrade/walk.js';
import type {AdaptedModel, PlaceVariables, SharedWith, StoredAdapter} from './adapted-model.js';
import {ContextStore} from './context.js';
import {LossScale} from './loss-scale.js';
import {checkIdle, Recompiler} from './recompile.js';
import {repairTotals} from './totals.js';
import {TrainedLayers} from './trained-layers.js';
import {UsageTracking} from './usage-tracking.js';
import {layerVariables, leafName, siteVariables} from './weights.js';

/** A layer of the model and the layer that stands in for it. */
interface Site {
  original: Layer;
  layer: PeftLayer;
  holder: Layer;
}

/** Which upgrade a layer with weights belongs to: one that it replaced, or put in another's place, or froze. */
const owners = shared('layers.owners', () => new WeakMap<Layer, ModelState>());

/**
 * A model under upgrade: which layers were replaced, which adapters there are, and everything that is needed to bring the model back.
 * Its changes are synchronous and all or nothing.
 */
export class ModelState implements AdaptedModel {
  readonly noun = 'layer';
  readonly adapters = new Map<string, StoredAdapter>();
  private readonly sites = new Map<string, Site>();
  private readonly trained = new TrainedLayers();
  private readonly freezer = new Freezer();
  private readonly norms = new FusedLayerNorms();
  private readonly ownArguments = new OwnArguments();
  private readonly recompiler = new Recompiler();
  /** Undoes what makes evaluations of several outputs right. */
  private readonly totals: (() => void)[] = [];
  readonly context = new ContextStore();
  readonly lossScale = new LossScale();
  private readonly tracking = new UsageTracking();
  private readonly order = new WrapperOrder();
  private readonly claimed = new Set<Layer>();
  private activeName: string | null = null;
  /** Whether the model is frozen for an upgrade, with adapters or, if they were removed, without. */
  private begun = false;

  constructor(readonly model: tfl.LayersModel) {
    const container: unknown = model;
    if (typeof container !== 'object' || container === null || !isContainer(container as Layer)) {
      throw new ConfigError(
        'The model must be a LayersModel, as tf.loadLayersModel, tf.model or tf.sequential give it.',
      );
    }
    this.checkAlive();
  }

  get label(): string {
    return `model '${this.model.name}'`;
  }

  /** @throws ConfigError if the model is disposed. */
  checkAlive(): void {
    if (internals(this.model as unknown as Layer)._refCount === 0) {
      throw new ConfigError(`Model '${this.model.name}' is disposed. Load it again.`);
    }
  }

  checkIdle(): void {
    checkIdle([...this.models(), ...this.sharing()]);
  }

  /** Name of the active adapter; null while the model is as it was before. */
  get active(): string | null {
    return this.activeName;
  }

  /** The model's layers, checked for layers that are part of another upgrade. */
  get layers(): Located[] {
    const {layers} = mapModel(this.model);
    const foreign = layers.find(({layer}) => owners.has(layer) && owners.get(layer) !== this);
    if (foreign !== undefined) {
      throw new ConfigError(
        `Layer '${foreign.path}' is part of the upgrade of model '${owners.get(foreign.layer)!.model.name}'. ` +
          'Detach that upgrade first, or upgrade the outermost of the models that have the layer, and no other.',
      );
    }
    return layers;
  }

  /** The layer as a site of this upgrade, if it is one. */
  readonly isSite = (layer: Layer): PeftLayer | undefined =>
    layer instanceof PeftLayer && owners.get(layer) === this ? layer : undefined;

  plan(config: UpgradeConfig): Plan<Located> {
    const select: Select<Located> = (targets, alsoTrain) =>
      selectLayers(this.layers, this.isSite, targets, alsoTrain);
    const plan = planUpgrade(this.noun, select, config, [...this.adapters.keys()]);
    const {containers} = mapModel(this.model);
    for (const site of plan.sites) checkRoom(site, containers);
    checkDirections(plan.sites);
    return plan;
  }

  get sharedWith(): SharedWith[] {
    const {layers} = mapModel(this.model);
    const weighted = layers.filter(({layer}) => layer.weights.length > 0);
    return outermost(this.sharing(), this.models()).flatMap((model) => {
      const inside = layersInside(model);
      const shared = weighted.filter(({layer}) => inside.has(layer)).map(({path}) => path);
      return shared.length === 0 ? [] : [{model: model.name, layers: shared}];
    });
  }

  select(targets?: Targets): Selected<Located>[] {
    return selectLayers(this.layers, this.isSite, targets);
  }

  /**
   * Adds an adapter and makes it the active one. On an error the model is as before.
   *
   * @throws ConfigError if a layer would be adapted and trained in full, or a model cannot be compiled again.
   */
  add(plan: Plan<Located>): void {
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
    try {
      if (!this.begun) rememberOrder(this.model);
      for (const {layer} of layers) if (layer.weights.length > 0) this.claim(layer);
      this.trained.add(
        plan.name,
        plan.selected.filter(({status}) => status === 'trained').map(({at}) => at),
      );
      this.freezer.freeze(layers.filter(({layer}) => this.isSite(layer) === undefined).flatMap(partsAt));
      this.freezer.open(models);
      this.norms.replace(
        layers.flatMap(({layer}) => withParts(layer)),
        () => this.activeName !== null,
      );
      this.ownArguments.give(
        layers.flatMap(({layer, holder}) => (isContainer(holder) ? [layer] : [layer, holder])),
      );
      for (const {at, config} of plan.sites) {
        // The place in the model, not the name: tfjs numbers unnamed layers anew for each copy of a model.
        const place = layers.findIndex(({path}) => path === at.path);
        const seed = plan.seed === undefined ? undefined : deriveSeed(plan.seed, place);
        this.makeSite(at).addAdapter(plan.name, config, seed);
      }
      const configs = new Map(plan.sites.map(({at, config}) => [at.path, config]));
      this.adapters.set(plan.name, {config: plan.adapter, sites: configs, selected: plan.selected});
      for (const {holder} of layers) if (!isContainer(holder)) this.order.keep(holder);
      this.activate(plan.name);
    } catch (error) {
      preparation.abandon();
      this.drop(plan.name);
      if (!this.begun) this.undo();
      else this.activate(before);
      throw error;
    }
    this.begun = true;
    preparation.commit();
    this.totals.push(...models.map(repairTotals));
  }

  /** Makes an adapter active everywhere it has weights, or none; models that are compiled are not looked at. */
  activate(name: string | null): void {
    const {sites} = (name === null ? undefined : this.adapters.get(name)) ?? {sites: new Map()};
    for (const [path, {layer}] of this.sites) layer.activate(sites.has(path) ? name : null);
    this.trained.activate(name);
    const trained = this.trained.of(name);
    this.freezer.freeze(this.trained.all.filter((at) => !trained.includes(at)).flatMap(partsAt));
    this.freezer.train(trained.flatMap(partsAt));
    this.activeName = name;
  }

  /** Makes an adapter active, and compiles models again whose trainable weights have changed. */
  enable(name: string): void {
    const preparation = this.recompiler.prepare(this.models());
    this.activate(name);
    preparation.commit();
  }

  remove(name: string, next: string | null): void {
    const preparation = this.recompiler.prepare(this.models());
    const own = new Set(this.siteVariables(name).flatMap(({variables}) => [...variables.values()]));
    this.activate(next);
    // While none is active, an optimizer keeps what it has of the one that was active last.
    if (next !== null || this.recompiler.trains(this.models(), own)) preparation.commit();
    else preparation.abandon();
    this.drop(name);
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

  release(): void {
    this.undo();
    this.recompiler.release();
  }

  get lossSites(): number {
    return this.layersOfSites().filter(([, {site}]) => site.hasLoss).length;
  }

  trackUsage(tasks: number | null): void {
    this.tracking.set(
      this.layersOfSites().map(([, {site}]) => site),
      tasks,
    );
  }

  usage(reset: boolean): Promise<SiteUsage[] | null> {
    return this.tracking.read(
      this.layersOfSites().map(([path, {site}]) => [path, site]),
      reset,
    );
  }

  trainableVariables(): tf.Variable[] {
    // tfjs-layers lists a layer's weights once for each model that lists the layer.
    return [...new Set(this.model.trainableWeights)].map((weight) => weight.read() as tf.Variable);
  }

  contextFrom(path: string, compute: (inputs: tf.Tensor[]) => RouterContext): void {
    const at = this.find(path);
    if (at === undefined) {
      const known = this.layers.map((located) => `'${located.path}'`).join(', ');
      throw new ConfigError(`The model has no layer ${describe(path)}. It has: ${known}.`);
    }
    this.context.from(at.layer, compute);
  }

  get parameters(): number {
    const weights = this.layers.flatMap(({layer}) => this.isSite(layer)?.base ?? layer.weights);
    return countParameters([...new Set(weights)]);
  }

  /** All parameters of a layer but those that it never trains itself, such as moving averages. */
  countTrained({layer}: Located): number {
    return countParameters(withParts(layer).flatMap((part) => this.freezer.trainableOf(part)));
  }

  dimsAt(path: string): SiteDims {
    return this.sites.get(path)!.layer.dims;
  }

  siteAt(path: string): Pick<FileSite, 'kind' | 'shape'> | string {
    const at = this.find(path);
    if (at === undefined) return 'missing';
    const {kind, shape, className} = describeLayer(at, this.isSite).info;
    return shape === null ? `a ${className}` : {kind, shape};
  }

  siteVariables(name: string): PlaceVariables<FileSite>[] {
    return [...this.adapters.get(name)!.sites.keys()].map((path) => {
      const {layer} = this.sites.get(path)!;
      return siteVariables(path, layer, layer.adapterWeights(name));
    });
  }

  trainedVariables(name: string): PlaceVariables[] {
    return this.trained.variablesOf(name);
  }

  /** A LayersModel has its heads among its layers; a file that has some does not fit it. */
  expectHeads(): void {}

  variablesAt(path: string): PlaceVariables | undefined {
    const at = this.find(path);
    return at && layerVariables(at);
  }

  async modelArtifacts(): Promise<never> {
    throw new ConfigError(
      'A LayersModel saves its adapters with itself: call model.save. This is for GraphModels, whose save writes the base alone.',
    );
  }

  frozenWeights(except: ReadonlySet<string>): Hashable[] {
    const frozen = this.layers.filter(({path}) => !except.has(path));
    return frozen.flatMap(({path, layer}) =>
      (this.isSite(layer)?.base ?? layer.weights).map((variable) => ({
        name: `${path}.${leafName(variable)}`,
        shape: variable.shape as number[],
        read: () => this.trained.baseOf(variable).data(),
      })),
    );
  }

  private find(path: string): Located | undefined {
    return this.layers.find((at) => at.path === path);
  }

  private layersOfSites(): [string, PeftLayer][] {
    return [...this.sites].map(([path, {layer}]) => [path, layer]);
  }

  private models(): Container[] {
    return mapModel(this.model).models;
  }

  /** Models from outside that list some of this one's layers. */
  private sharing(): Container[] {
    const {models, containers, layers} = mapModel(this.model);
    const own = [...models, ...containers, ...layers.map(({layer}) => layer)];
    return modelsListing(new Set(own));
  }

  /** All that list layers of this model: its own containers, and models from outside. */
  private containers(): Container[] {
    return [...mapModel(this.model).containers, ...this.sharing()];
  }

  private claim(layer: Layer): void {
    owners.set(layer, this);
    this.claimed.add(layer);
  }

  private makeSite(at: Located): PeftLayer {
    const known = this.sites.get(at.path);
    if (known !== undefined) return known.layer;
    const layer = standIn(at.layer);
    // The Dense is frozen, or may have been before; what is trained here is the adapter.
    layer.trainable = true;
    layer.context = this.context.get;
    layer.site.lossScale = this.lossScale.get;
    this.tracking.join(layer.site);
    replaceLayer(at.layer, layer, at.holder, this.containers());
    this.context.move(at.layer, layer);
    this.claim(layer);
    this.sites.set(at.path, {original: at.layer, layer, holder: at.holder});
    return layer;
  }

  /** Takes an adapter away from all places, and disposes what is its own. Layers that are left without any come back. */
  private drop(name: string): void {
    const containers = this.containers();
    for (const [path, {original, layer, holder}] of this.sites) {
      if (layer.adapterNames.includes(name)) layer.removeAdapter(name);
      if (layer.adapterNames.length > 0) continue;
      replaceLayer(layer, original, holder, containers);
      this.context.move(layer, original);
      this.sites.delete(path);
    }
    this.trained.remove(name);
    this.adapters.delete(name);
  }

  private undo(): void {
    this.trackUsage(null);
    this.context.clear();
    for (const name of [...this.adapters.keys()]) this.drop(name);
    for (const layer of this.claimed) owners.delete(layer);
    this.claimed.clear();
    this.order.end();
    this.activeName = null;
    this.begun = false;
    this.norms.restore();
    this.ownArguments.restore();
    this.freezer.restore();
    for (const undo of this.totals.splice(0)) undo();
  }
}
