import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type {LayerVariable} from '@tensorflow/tfjs-layers';
import {ConfigError, shared} from '@tfjs-peft/kernels';
import type {Adapter, AdapterConfig, SiteDims} from '../core/adapters/adapter.js';
import type {FileLayer, FileSite, WeightValues} from '../core/io/adapter-file.js';
import {own} from '../core/io/json.js';
import type {Hashable} from '../core/io/weight-hashes.js';
import type {
  AdaptedModel,
  FileVariables,
  SiteVariables,
  StoredAdapter,
} from '../core/lifecycle/adapted-model.js';
import {ContextStore, tasksOf} from '../core/lifecycle/context.js';
import {checkIdle} from '../core/lifecycle/model-lock.js';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import {type AlsoTrain, type AnyUpgradeConfig, type Plan, planUpgrade} from '../core/lifecycle/plan.js';
import {
  type Described,
  type Selected,
  selectTargets,
  type Target,
  type Targets,
} from '../core/lifecycle/select.js';
import {UsageTracking} from '../core/lifecycle/usage-tracking.js';
import {siteVariables} from '../core/lifecycle/weights.js';
import {withArticle} from '../core/messages.js';
import {deriveSeed} from '../core/random.js';
import {AdaptedSite} from '../core/sites/adapted-site.js';
import {escapeName} from '../core/sites/adapter-slot.js';
import {LossScale} from '../core/sites/auxiliary-loss.js';
import type {SiteStage} from '../core/sites/run-site.js';
import type {SiteUsage} from '../core/sites/usage.js';
import {isPackedVariable, packedOf} from '../core/tfjs/packed-variable.js';
import type {Preparation} from '../core/tfjs/recompile.js';
import {addedNode} from './added-node.js';
import {checkAlive, countParameters, hashableWeights} from './base-weights.js';
import {handOn} from './epilogue.js';
import {Heads} from './heads.js';
import {Interception} from './interception.js';
import {type Executor, executorOf, type GraphNode, storedTypes, withWeights} from './internals.js';
import {describeNodes, type LocatedNode} from './nodes.js';
import {multiplierOf, NodeMatrix, type PackedReaders, readersOf} from './packing.js';
import {type Chain, chainOf, innerNodes, Probes} from './probes.js';
import {registerNodes} from './register.js';
import {upgradedArtifacts} from './saving/upgraded.js';
import type {NodeSite} from './sites/node-site.js';

/** A node that carries adapters. */
interface AdaptedNode {
  at: LocatedNode;
  node: NodeSite;
  adapted: AdaptedSite;
}

/** Models with packed weights, whose nodes run our code even without an upgrade. */
const packedModels = shared('layers.packed-graphs', () => new WeakMap<GraphModel, AdaptedGraphModel>());

/** A model as it was left with packed weights, or before its first upgrade. */
export function graphStateOf(model: GraphModel): AdaptedGraphModel {
  return packedModels.get(model) ?? new AdaptedGraphModel(model);
}

/** Lets the nodes of a model with packed weights run anew, when a node was added to it or taken out. */
export function refreshPacked(model: GraphModel): void {
  const state = packedModels.get(model);
  state?.activate(state.active);
}

/**
 * A GraphModel under upgrade. While an adapter is active its sites' nodes run our code, see
 * {@link Interception}; while none is, the graph is the stock one, node by node.
 */
export class AdaptedGraphModel implements AdaptedModel {
  readonly label = 'the GraphModel';
  readonly noun = 'node';
  readonly adapters = new Map<string, StoredAdapter>();
  readonly context = new ContextStore(() => tasksOf([...this.sites.values()].map(({adapted}) => adapted)));
  readonly lossScale = new LossScale();
  /** Whether the model is run to be trained. */
  training = false;
  readonly executor: Executor;
  private readonly interception = new Interception();
  private readonly probes: Probes;
  /** The active adapter's sites, node by node. */
  chains: Chain[] = [];
  private readonly sites = new Map<string, AdaptedNode>();
  /** Nodes with packed weights, by path. */
  private readonly packed = new Map<string, PackedReaders>();
  private readonly watched = new Map<string, (inputs: tf.Tensor[]) => void>();
  private readonly described: Described<LocatedNode>[];
  /** What trainers put behind the graph. */
  readonly heads = new Heads();
  private readonly tracking = new UsageTracking();
  private activeName: string | null = null;

  /**
   * @throws ConfigError if the model is not loaded, disposed, or built by another version of tfjs-converter.
   */
  constructor(readonly model: GraphModel) {
    registerNodes();
    this.executor = executorOf(model);
    this.probes = new Probes(model);
    this.checkAlive();
    this.described = describeNodes(this.executor, storedTypes(model));
  }

  get active(): string | null {
    return this.activeName;
  }

  checkAlive(): void {
    checkAlive(this.executor);
  }

  checkIdle(): void {
    checkIdle(this.model);
  }

  plan(config: AnyUpgradeConfig & AlsoTrain): Plan<LocatedNode> {
    return planUpgrade(this.noun, (...given) => this.select(...given), config, [...this.adapters.keys()]);
  }

  /** No other model has its tensors. */
  readonly isLastHolder = true;

  /** A graph does not change. */
  refresh(): void {}

  selected(name: string): Selected[] {
    return this.adapters.get(name)!.selected;
  }

  select(targets?: Targets, alsoTrain?: Target[]): Selected<LocatedNode>[] {
    if (alsoTrain !== undefined && alsoTrain.length > 0) {
      throw new ConfigError(
        'upgrade: alsoTrain works only for a LayersModel, whose layers have variables. For a ' +
          'GraphModel, pass a head to the trainer instead.',
      );
    }
    return selectTargets(this.noun, this.described, targets);
  }

  add({name, adapter, sites, selected, seed, shared}: Plan<LocatedNode>): void {
    const before = this.activeName;
    try {
      for (const {at, config} of sites) {
        const place = this.described.findIndex((described) => described.at.path === at.path);
        const own = seed === undefined ? undefined : deriveSeed(seed, place);
        this.makeSite(at).adapted.add(name, config, own, shared);
      }
      this.adapters.set(name, {
        config: adapter,
        sites: new Map(sites.map(({at, config}) => [at.path, config])),
        selected,
        shared,
      });
      this.activate(name);
    } catch (error) {
      this.remove(name, before);
      throw error;
    }
  }

  activate(name: string | null): void {
    const chosen = (name === null ? undefined : this.adapters.get(name))?.sites;
    this.interception.clear();
    this.chains = [];
    for (const [path, {at, node, adapted}] of this.sites) {
      const active = chosen?.has(path) === true;
      adapted.activate(active ? name : null);
      const trainable = new Set(adapted.trainable);
      for (const variable of adapted.weights) variable.trainable = trainable.has(variable);
      if (!active && !this.packed.has(path) && !this.watched.has(path)) continue;
      const run = (inputs: tf.Tensor[], until?: SiteStage) => this.run(node, adapted, inputs, until);
      if (this.isApart(at, node)) {
        this.interception.set(at.node, (inputs) => run(inputs, 'product'));
        continue;
      }
      this.interception.set(at.node, (inputs) => {
        this.watched.get(path)?.(inputs);
        return run(inputs);
      });
      this.chains.push(chainOf(at.node, node, run));
      for (const absorbed of node.absorbed) {
        this.interception.set(absorbed.node, (inputs) => handOn(absorbed, inputs));
      }
    }
    for (const node of new Set([...this.packed.values()].flatMap(({passing}) => passing)))
      this.interception.set(node, ([x]) => (isPackedVariable(x!) ? x.alias() : tf.clone(x!)));
    this.probes.watch(this.chains);
    this.activeName = name;
  }

  enable(name: string): void {
    this.activate(name);
  }

  remove(name: string, next: string | null): void {
    this.activate(next);
    for (const {adapted} of this.sites.values()) if (adapted.names.includes(name)) adapted.remove(name);
    this.dropIdle();
    this.adapters.delete(name);
    this.heads.remove(name);
  }

  /** Whether a side network reads what nodes of a site give one by one, or is in the place of one. */
  private isApart(at: LocatedNode, node: NodeSite): boolean {
    const added = addedNode(this.model);
    if (added === undefined || node.absorbed.length === 0) return false;
    // First the nodes themselves: while the network is in the place of one, that one has other inputs.
    const own = [at.node, ...node.absorbed.map((absorbed) => absorbed.node)];
    if (own.some(({name}) => name === added.name)) return true;
    return [...innerNodes(at.node, node)].some((each) => added.reads.has(each));
  }

  /** Forgets sites that have neither adapters nor packed weights. */
  private dropIdle(): void {
    for (const [path, {node, adapted}] of this.sites) {
      if (adapted.names.length > 0 || this.packed.has(path)) continue;
      node.dispose?.();
      this.sites.delete(path);
    }
  }

  detach(): void {
    this.trackUsage(null);
    this.context.clear();
    for (const name of [...this.adapters.keys()]) this.remove(name, null);
  }

  release(): void {
    this.detach();
  }

  /** The sites of the active adapter, by the names of their nodes. */
  get activeSites(): Map<string, AdaptedSite> {
    const active = [...this.sites].filter(([, {adapted}]) => adapted.active !== null);
    return new Map(active.map(([path, {adapted}]) => [path, adapted]));
  }

  /** Nodes whose work a site of the active adapter does, and which of their inputs they hand on. */
  get absorbed(): Map<GraphNode, number> {
    const running = [...this.sites].filter(
      ([path, {at, node, adapted}]) =>
        (adapted.active !== null || this.packed.has(path)) && !this.isApart(at, node),
    );
    return new Map(
      running.flatMap(([, {node}]) =>
        // Nodes with a sum still have work to do.
        node.absorbed.flatMap(({node: behind, input, sum}) => (sum === undefined ? [[behind, input]] : [])),
      ),
    );
  }

  trainableVariables(): tf.Variable[] {
    const sites = [...this.activeSites.values()];
    return sites.flatMap(({trainable}) => trainable.map((variable) => variable.read() as tf.Variable));
  }

  get lossSites(): number {
    return [...this.activeSites.values()].filter(({hasLoss}) => hasLoss).length;
  }

  trackUsage(tasks: number | null): void {
    this.tracking.set(
      [...this.sites.values()].map(({adapted}) => adapted),
      tasks,
    );
  }

  get trackedTasks(): number | null {
    return this.tracking.tasks;
  }

  usage(reset: boolean): Promise<SiteUsage[] | null> {
    return this.tracking.read(
      [...this.sites].map(([path, {adapted}]) => [path, adapted]),
      reset,
    );
  }

  /** A GraphModel has its nodes and weights for itself. */
  readonly sharedWith = [];
  readonly gaps = [];

  get parameters(): number {
    return countParameters(this.executor);
  }

  countTrained(): number {
    return 0;
  }

  dimsAt(path: string): SiteDims {
    return this.sites.get(path)!.node.operation.dims;
  }

  siteAt(path: string): Pick<FileSite, 'kind' | 'shape'> | string {
    const found = this.described.find(({at}) => at.path === path);
    if (found === undefined)
      return own(this.executor.graph.nodes, path) === undefined ? 'missing' : 'no site';
    const {kind, shape, className} = found.info;
    return shape === null ? withArticle(className) : {kind, shape};
  }

  matrixAt(path: string): PackableMatrix | string {
    const all = this.described.map(({at}) => at);
    const at = all.find((other) => other.path === path)!;
    const readers = this.packed.get(path) ?? readersOf(this.executor, at, all);
    if (typeof readers === 'string') return readers;
    const changed = () => {
      const packed = packedOf(at.site!.weight.read()) !== undefined;
      // Other codes change no node, in front of which a side network may stand by now.
      if (packed && readers.sites.every((site) => this.packed.has(site.path))) return;
      for (const site of readers.sites) {
        if (packed) this.packed.set(site.path, readers);
        else this.packed.delete(site.path);
        this.makeSite(site);
      }
      if (this.packed.size > 0) packedModels.set(this.model, this);
      else packedModels.delete(this.model);
      this.activate(this.activeName);
      this.dropIdle();
    };
    const multiplier = multiplierOf(readers, at);
    return new NodeMatrix(this.executor, at, readers, changed, multiplier && this.watch(multiplier));
  }

  /** Lets somebody see the inputs of a node's product. */
  private watch(at: LocatedNode): PackableMatrix['watch'] {
    return (see) => {
      const {node} = this.makeSite(at);
      this.watched.set(at.path, (x) => see(node.input?.(x) ?? x[0]!));
      this.activate(this.activeName);
      return () => {
        this.watched.delete(at.path);
        this.activate(this.activeName);
        this.dropIdle();
      };
    };
  }

  preparePacking(): Preparation {
    return {commit() {}, abandon() {}};
  }

  siteVariables(name: string): SiteVariables[] {
    return [...this.adapters.get(name)!.sites.keys()].map((path) => {
      const {node, adapted} = this.sites.get(path)!;
      return siteVariables(path, {kind: node.kind, dims: node.operation.dims, site: adapted}, name);
    });
  }

  trainedVariables(name: string): FileVariables[] {
    return this.heads.variablesOf(name);
  }

  expectHeads(name: string, heads: readonly FileLayer[]): void {
    this.heads.expect(name, heads);
  }

  variablesAt(): undefined {
    return undefined;
  }

  /** The sites that carry an adapter, in the order of the upgrade. */
  sitesOf(name: string): {
    path: string;
    at: GraphNode;
    node: NodeSite;
    config: AdapterConfig;
    adapter: Adapter;
    adapted: AdaptedSite;
  }[] {
    return [...this.adapters.get(name)!.sites].map(([path, config]) => {
      const {at, node, adapted} = this.sites.get(path)!;
      return {path, at: at.node, node, config, adapter: adapted.adapterOf(name), adapted};
    });
  }

  /** What the model was loaded from, for a file of the whole. */
  source(): tf.io.ModelArtifacts {
    if (this.packed.size > 0) {
      throw new ConfigError(
        'The GraphModel is quantised, and its file would have the plain weights of before. Save the adapter ' +
          'alone (peft.save), and quantise the base again after loading.',
      );
    }
    return withWeights(this.model);
  }

  /** The file of the whole model with an adapter. */
  async modelArtifacts(name: string): Promise<tf.io.ModelArtifacts> {
    const source = this.source();
    const valued = this.sitesOf(name).map(async ({adapted, ...site}) => ({
      ...site,
      weights: await valuesOf(adapted.weightsOf(name)),
      shared: await valuesOf(adapted.sharedOf(name)),
      keys: new Map([...adapted.sharedOf(name)].map(([weight, {key}]) => [weight, key])),
    }));
    return upgradedArtifacts(source, this.executor, await Promise.all(valued));
  }

  frozenWeights(): Hashable[] {
    return hashableWeights(this.executor);
  }

  private makeSite(at: LocatedNode): AdaptedNode {
    const known = this.sites.get(at.path);
    if (known !== undefined) return known;
    const node = at.site!;
    const adapted = new AdaptedSite(node.operation, () => `Node '${at.path}'`);
    adapted.build({prefix: `${at.path.split('/').map(escapeName).join('/')}/`, entered: false});
    adapted.context = this.context.get;
    adapted.lossScale = this.lossScale.get;
    this.tracking.join(adapted);
    const site = {at, node, adapted};
    this.sites.set(at.path, site);
    return site;
  }

  private run(node: NodeSite, adapted: AdaptedSite, inputs: tf.Tensor[], until?: SiteStage): tf.Tensor {
    const x = node.input?.(inputs) ?? inputs[0]!;
    const y = adapted.apply(x, {training: this.training, until});
    return node.finish?.(y, inputs) ?? y;
  }
}

async function valuesOf(
  weights: ReadonlyMap<string, Pick<LayerVariable, 'read' | 'shape'>>,
): Promise<Map<string, WeightValues>> {
  const reads = [...weights].map(async ([name, weight]): Promise<[string, WeightValues]> => {
    const values = (await weight.read().data()) as Float32Array;
    return [name, {shape: weight.shape as number[], values: values.slice()}];
  });
  return new Map(await Promise.all(reads));
}
