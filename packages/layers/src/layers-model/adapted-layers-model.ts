import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import type {RouterContext} from '@tfjs-peft/routers';
import type {SiteDims} from '../core/adapters/adapter.js';
import type {FileSite} from '../core/io/adapter-file.js';
import type {Hashable} from '../core/io/weight-hashes.js';
import type {
  AdaptedModel,
  FileVariables,
  SharedWith,
  SiteVariables,
  StoredAdapter,
} from '../core/lifecycle/adapted-model.js';
import {ContextStore, tasksOf} from '../core/lifecycle/context.js';
import type {LayerGap} from '../core/lifecycle/layer-gap.js';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import {
  type AlsoTrain,
  type AnyUpgradeConfig,
  type Plan,
  planUpgrade,
  type Select,
} from '../core/lifecycle/plan.js';
import type {Selected, Target, Targets} from '../core/lifecycle/select.js';
import {UsageTracking} from '../core/lifecycle/usage-tracking.js';
import {layerVariables, leafName, siteVariables} from '../core/lifecycle/weights.js';
import {withArticle} from '../core/messages.js';
import {deriveSeed} from '../core/random.js';
import {LossScale} from '../core/sites/auxiliary-loss.js';
import type {SiteUsage} from '../core/sites/usage.js';
import {Claims} from '../core/tfjs/claims.js';
import {Freezer} from '../core/tfjs/freeze.js';
import {type Container, internals, isContainer, type Layer} from '../core/tfjs/internals.js';
import {type LocatedLayer, mapModel, partsAt, withParts} from '../core/tfjs/model-map.js';
import {checkIdle, type Preparation, Recompiler} from '../core/tfjs/recompile.js';
import {packableOf} from './packing.js';
import {PeftLayer} from './sites/peft-layer.js';
import {rememberOrder, WrapperOrder} from './sites/weight-order.js';
import {checkDirections} from './surgery/bidirectional.js';
import {modelsListing, modelsSharing, sharedWith} from './surgery/known-models.js';
import {LayerSites} from './surgery/layer-sites.js';
import {outputLayers} from './surgery/output-layers.js';
import {replaceLayer} from './surgery/replace-layer.js';
import {checkRoom} from './surgery/sequence-length.js';
import {countParameters, describeLayer, selectLayers} from './surgery/targets.js';
import {sourceAt} from './training/input-context.js';
import {StockRepairs} from './training/stock-repairs.js';
import {TrainedLayers} from './training/trained-layers.js';

/**
 * A model under upgrade: which layers were replaced, which adapters there are, and everything that is needed
 * to bring the model back. Its changes are synchronous and all or nothing.
 */
export class AdaptedLayersModel implements AdaptedModel {
  readonly noun = 'layer';
  readonly adapters = new Map<string, StoredAdapter>();
  readonly sites = new LayerSites(
    (from, to, holder) => this.replace(from, to, holder),
    (layer) => this.join(layer),
  );
  readonly trained = new TrainedLayers();
  readonly freezer = new Freezer();
  private readonly recompiler = new Recompiler();
  readonly context = new ContextStore(() => tasksOf(this.sites.entries.map(([, {site}]) => site)));
  private readonly repairs = new StockRepairs(this);
  readonly lossScale = new LossScale();
  private readonly tracking = new UsageTracking();
  private readonly order = new WrapperOrder();
  private readonly claims: Claims;
  /** Layers that the user has put into the model since the upgrade. */
  private readonly added = new Set<Layer>();
  private activeName: string | null = null;
  /** Whether the model is frozen for an upgrade, with adapters or, if they were removed, without. */
  private begun = false;

  constructor(readonly model: tfl.LayersModel) {
    this.claims = new Claims(model);
    this.checkAlive();
  }

  get label(): string {
    return `model '${this.model.name}'`;
  }

  /** A model that is part of others goes when the last of them does. */
  get isLastHolder(): boolean {
    return internals(this.model)._refCount === 1;
  }

  checkAlive(): void {
    if (internals(this.model)._refCount === 0) {
      throw new ConfigError(`Model '${this.model.name}' is disposed. Load it again.`);
    }
    const gone = this.sites.entries.find(([, layer]) => internals(layer)._refCount === 0);
    if (gone !== undefined) {
      throw new ConfigError(
        `Layer '${gone[0]}' of model '${this.model.name}' is disposed: another model that shares it was ` +
          'disposed. Load the model again.',
      );
    }
  }

  checkIdle(): void {
    checkIdle([...this.models(), ...modelsSharing(this.model)]);
  }

  get active(): string | null {
    return this.activeName;
  }

  /** The model's layers, checked for layers that are part of another upgrade. */
  get layers(): LocatedLayer[] {
    const {layers} = mapModel(this.model);
    this.claims.check(layers);
    return layers;
  }

  /** The layer as a site of this upgrade, if it is one. */
  readonly isSite = (layer: Layer): PeftLayer | undefined =>
    layer instanceof PeftLayer && this.claims.has(layer) ? layer : undefined;

  plan(config: AnyUpgradeConfig & AlsoTrain): Plan<LocatedLayer> {
    const select: Select<LocatedLayer> = (targets, alsoTrain) =>
      selectLayers(this.layers, this.isSite, outputLayers(this.model), targets, alsoTrain);
    const plan = planUpgrade(this.noun, select, config, [...this.adapters.keys()]);
    const {containers} = mapModel(this.model);
    for (const site of plan.sites) checkRoom(site, containers);
    checkDirections(plan.sites);
    return plan;
  }

  get gaps(): LayerGap[] {
    const sites = this.sites.entries.map(([, layer]) => layer);
    return this.repairs.gapsBehind([...sites, ...this.trained.all.map(({layer}) => layer)]);
  }

  get sharedWith(): SharedWith[] {
    return sharedWith(this.model);
  }

  select(targets?: Targets, alsoTrain?: Target[]): Selected<LocatedLayer>[] {
    return selectLayers(this.layers, this.isSite, outputLayers(this.model), targets, alsoTrain);
  }

  /** With layers that the user has put into the model since, and without those that were taken out of it. */
  selected(name: string): Selected<LocatedLayer>[] {
    const {sites, selected} = this.adapters.get(name)!;
    const before = new Map(selected.map((row) => [row.info.name, row]));
    const trained = new Set(this.trained.of(name).map(({layer}) => layer));
    return selectLayers(this.layers, this.isSite, new Set(), () => true).map(
      (row): Selected<LocatedLayer> => {
        const {path, layer} = row.at;
        const known = this.added.has(layer) ? undefined : before.get(path);
        const apart = known?.status === 'unsupported' ? 'unsupported' : 'frozen';
        const status = sites.has(path)
          ? 'adapted'
          : trained.has(this.stock(row.at).layer)
            ? 'trained'
            : apart;
        const reason = known?.status === status ? known.reason : 'put into the model since the upgrade';
        const adaptedOutput = status === 'adapted' && known?.adaptedOutput === true;
        return {...row, status, reason, ...(adaptedOutput && {adaptedOutput})};
      },
    );
  }

  refresh(): void {
    if (!this.begun) return;
    const {layers} = mapModel(this.model);
    this.sites.locate(layers);
    for (const [name, stored] of this.adapters) stored.sites = this.sites.configsOf(name);
    if (this.activeName !== null) this.adopt(this.activeName, layers);
  }

  /** @throws ConfigError if a model cannot be compiled again. */
  add(plan: Plan<LocatedLayer>): void {
    const {models, layers} = mapModel(this.model);
    const preparation = this.recompiler.prepare(models);
    const before = this.activeName;
    try {
      if (!this.begun) rememberOrder(this.model);
      this.claims.addFree(layers);
      this.trained.add(
        plan.name,
        plan.selected.filter(({status}) => status === 'trained').map(({at}) => this.stock(at)),
      );
      this.freezer.freeze(layers.filter(({layer}) => this.isSite(layer) === undefined).flatMap(partsAt));
      this.freezer.open(models);
      this.repairs.repairLayers(layers);
      for (const {at, config} of plan.sites) {
        // The place in the model, not the name: tfjs numbers unnamed layers anew for each copy of a model.
        const place = layers.findIndex(({path}) => path === at.path);
        const seed = plan.seed === undefined ? undefined : deriveSeed(plan.seed, place);
        this.sites.make(at).addAdapter(plan.name, config, seed, plan.shared);
      }
      const configs = new Map(plan.sites.map(({at, config}) => [at.path, config]));
      const {adapter, selected, shared} = plan;
      this.adapters.set(plan.name, {config: adapter, sites: configs, selected, shared});
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
    this.repairs.followBatches(models);
    preparation.commit();
    this.repairs.repairModels(models);
  }

  activate(name: string | null): void {
    const {sites} = (name === null ? undefined : this.adapters.get(name)) ?? {sites: new Map()};
    this.trained.activate(name);
    const trained = this.trained.of(name);
    for (const [path, layer] of this.sites.entries) {
      layer.activate(sites.has(path) ? name : null);
      layer.trainBase(trained.some((at) => at.layer === layer.stock));
    }
    this.freezer.freeze(this.trained.all.filter((at) => !trained.includes(at)).flatMap(partsAt));
    this.freezer.train(trained.flatMap(partsAt));
    this.activeName = name;
  }

  enable(name: string): void {
    const {models, layers} = mapModel(this.model);
    const preparation = this.recompiler.prepare(models);
    // Layers that were added while no adapter was active belong to the base.
    this.freezer.freeze(this.claims.addFree(layers).flatMap(partsAt));
    this.activate(name);
    preparation.commit();
  }

  remove(name: string, next: string | null): void {
    const preparation = this.recompiler.prepare(this.models());
    const own = new Set(this.siteVariables(name).flatMap(({variables}) => [...variables.values()]));
    this.activate(next);
    // While no adapter is active, an optimizer keeps the moments of the last active one.
    if (next !== null || this.recompiler.trains(this.models(), own)) preparation.commit();
    else preparation.abandon();
    this.drop(name);
  }

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
    return this.sites.entries.filter(([, {site}]) => site.hasLoss).length;
  }

  trackUsage(tasks: number | null): void {
    this.tracking.set(
      this.sites.entries.map(([, {site}]) => site),
      tasks,
    );
  }

  get trackedTasks(): number | null {
    return this.tracking.tasks;
  }

  usage(reset: boolean): Promise<SiteUsage[] | null> {
    return this.tracking.read(
      this.sites.entries.map(([path, {site}]) => [path, site]),
      reset,
    );
  }

  trainableVariables(): tf.Variable[] {
    // tfjs-layers lists a layer's weights once for each model that lists the layer.
    return [...new Set(this.model.trainableWeights)].map((weight) => weight.read() as tf.Variable);
  }

  contextFrom(path: string, compute: (inputs: tf.Tensor[]) => RouterContext): void {
    const {layer, values} = sourceAt(path, this.layers, this.model.inputNames);
    this.context.from(layer, (inputs) => compute(values(inputs)));
  }

  get parameters(): number {
    const weights = this.layers.flatMap(({layer}) => this.isSite(layer)?.base ?? layer.weights);
    return countParameters([...new Set(weights)]);
  }

  /** All parameters of a layer except those that it never trains itself, such as moving averages. */
  countTrained(at: LocatedLayer): number {
    const {layer} = this.stock(at);
    return countParameters(withParts(layer).flatMap((part) => this.freezer.trainableOf(part)));
  }

  dimsAt(path: string): SiteDims {
    return this.sites.at(path)!.dims;
  }

  siteAt(path: string): Pick<FileSite, 'kind' | 'shape'> | string {
    const at = this.find(path);
    if (at === undefined) return 'missing';
    const {info, refusal} = describeLayer(at, this.isSite);
    const {kind, shape, className} = info;
    if (shape !== null) return {kind, shape};
    return refusal?.carries ? refusal.reason : withArticle(className);
  }

  matrixAt(path: string): PackableMatrix | string {
    const {layer} = this.stock(this.find(path)!);
    if (this.trained.has(layer)) return 'an adapter trains it in full';
    return packableOf(layer);
  }

  preparePacking(): Preparation {
    // The one of an upgrade has nothing to do: what it has frozen is not trained.
    return new Recompiler().prepare([...this.models(), ...modelsSharing(this.model)], true);
  }

  siteVariables(name: string): SiteVariables[] {
    return [...this.adapters.get(name)!.sites.keys()].map((path) =>
      siteVariables(path, this.sites.at(path)!, name),
    );
  }

  trainedVariables(name: string): FileVariables[] {
    const places = this.layers.map((at) => this.stock(at));
    return this.trained.variablesOf(name, places);
  }

  /** A LayersModel has its heads among its layers; a file that has some does not fit it. */
  expectHeads(): void {}

  variablesAt(path: string): FileVariables | undefined {
    const at = this.find(path);
    return at && layerVariables(this.stock(at));
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

  /** The layer as it is without adapters: the form in which it is trained in full. */
  private stock(at: LocatedLayer): LocatedLayer {
    return {...at, layer: this.isSite(at.layer)?.stock ?? at.layer};
  }

  private find(path: string): LocatedLayer | undefined {
    return this.layers.find((at) => at.path === path);
  }

  private models(): Container[] {
    return mapModel(this.model).models;
  }

  /** Layers that the user has put in belong to the active adapter, if they are trained. */
  private adopt(name: string, layers: readonly LocatedLayer[]): void {
    const added = this.claims.addFree(layers);
    for (const {layer} of added) this.added.add(layer);
    const isTrained = ({layer}: LocatedLayer) => layer.trainableWeights.length > 0;
    this.trained.adopt(name, added.filter(isTrained));
    this.freezer.freeze(added.filter((at) => !isTrained(at)).flatMap(partsAt));
  }

  /** In this model's own containers, and in all others that list the layer. */
  private replace(from: Layer, to: Layer, holder: Layer): void {
    const others = modelsListing(new Set([from]));
    replaceLayer(from, to, holder, [...new Set([...mapModel(this.model).containers, ...others])]);
    this.context.move(from, to);
  }

  private join(layer: PeftLayer): void {
    layer.context = this.context.get;
    layer.site.lossScale = this.lossScale.get;
    this.tracking.join(layer.site);
    this.claims.add(layer);
  }

  /** Removes an adapter everywhere and disposes what belongs to it. */
  private drop(name: string): void {
    this.sites.drop(name);
    this.trained.remove(name);
    this.adapters.delete(name);
  }

  private undo(): void {
    this.trackUsage(null);
    this.context.clear();
    for (const name of [...this.adapters.keys()]) this.drop(name);
    this.claims.clear();
    this.added.clear();
    this.order.end();
    this.activeName = null;
    this.begun = false;
    this.repairs.restore();
    this.freezer.restore();
  }
}
