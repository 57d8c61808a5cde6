import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import type {Hashable} from '../../core/io/weight-hashes.js';
import type {NormWeight, SideHost, SidePlaces, SideRun} from '../../core/lifecycle/side-host.js';
import type {TapCache} from '../../core/lifecycle/tap-cache.js';
import {leafName} from '../../core/lifecycle/weights.js';
import {Claims} from '../../core/tfjs/claims.js';
import {Freezer} from '../../core/tfjs/freeze.js';
import {FusedLayerNorms, isLayerNorm, type LayerNormalization} from '../../core/tfjs/fused-layer-norms.js';
import {
  asContainer,
  buildContainer,
  type Container,
  inside,
  internals,
  type Layer,
} from '../../core/tfjs/internals.js';
import {mapModel, partsAt} from '../../core/tfjs/model-map.js';
import {checkIdle, isInTraining, Recompiler} from '../../core/tfjs/recompile.js';
import {Front} from './front.js';
import {CrossingLayer, SideLayer} from './side-layer.js';
import {ancestors, isInput, outputOf} from './symbols.js';

/** Max. number of orders of layers that tfjs-layers keeps, by the names of outputs and inputs. */
const CACHED_ORDERS = 'TOPOLOGICAL_SORT_CACHE_MAX_ENTRIES';

/** A weight of a layer norm, and what stands in its place while the network runs. */
interface TrainedNorm {
  layer: Layer;
  field: 'gamma' | 'beta';
  base: tfl.LayerVariable;
  own: tfl.LayerVariable;
}

/** A tensor that reads others while the network runs. */
interface Link {
  reader: {inputs: tfl.SymbolicTensor[]};
  before: tfl.SymbolicTensor[];
  after: tfl.SymbolicTensor[];
}

/**
 * A LayersModel beside which a side network stands. What is behind the last tap reads the sum of that tap and
 * the network's output; the layers in front of it run inside one layer of ours, off the tape and in inference
 * mode. The lists of the model's layers and weights stay as they are, and so do files and summaries.
 */
export class LayersHost implements SideHost {
  readonly noun = 'layer';
  readonly dims: {widths: number[]; tokens: boolean};
  private readonly taps: tfl.SymbolicTensor[];
  private readonly mask: tfl.SymbolicTensor | undefined;
  private readonly freezer = new Freezer();
  private readonly recompiler = new Recompiler();
  private readonly claims: Claims;
  private links: Link[] = [];
  /** What there is in place of tensors of the front, while the network runs. */
  private instead = new Map<tfl.SymbolicTensor, tfl.SymbolicTensor>();
  private undo: (() => void)[] = [];
  private enabled = false;
  /** Whether the network is in the model now. */
  private linked = false;
  private trained: TrainedNorm[] = [];
  private readonly fusedNorms = new FusedLayerNorms();
  private layer: SideLayer | undefined;

  /** @throws ConfigError if a tap is not there, or cannot be one. */
  constructor(
    readonly model: tfl.LayersModel,
    {taps, mask, example}: SidePlaces,
  ) {
    this.claims = new Claims(model);
    this.checkAlive();
    if (example !== undefined)
      throw new ConfigError('example is for GraphModels: a LayersModel knows its shapes. Leave it out.');
    buildContainer(asContainer(model));
    this.claims.check(mapModel(asContainer(model)).layers);
    const reachable = ancestors(this.outputs);
    this.taps = taps.map((name) => outputOf(name, 'taps', reachable));
    this.mask = mask === undefined ? undefined : outputOf(mask, 'mask', reachable);
    const anchor = this.taps.at(-1)!;
    for (const [i, tap] of this.taps.slice(0, -1).entries()) {
      if (tap !== anchor && !ancestors([tap]).has(anchor)) continue;
      throw new ConfigError(
        `taps: '${taps[i]}' is not in front of the last tap, '${taps.at(-1)}', which the side network adds to. ` +
          'Name the taps in the order of the model.',
      );
    }
    const tokens = this.taps.map((tap, i) => tokensOf(taps[i]!, tap));
    const known = tokens.filter((count) => count !== null);
    if (known.some((count) => count !== known[0])) {
      const list = taps.map((name, i) => `'${name}' ${tokens[i]}`).join(', ');
      throw new ConfigError(
        `taps: their numbers of tokens differ: ${list}. Tap places of one length or size, such as the blocks ` +
          'of one stage.',
      );
    }
    this.dims = {
      widths: this.taps.map(({shape}) => shape.at(-1)!),
      tokens: known.length < tokens.length || known.some((count) => count !== 1),
    };
  }

  get label(): string {
    return `model '${this.model.name}'`;
  }

  get parameters(): number {
    return this.base.reduce((sum, {shape}) => sum + tf.util.sizeFromShape(shape as number[]), 0);
  }

  get isLastHolder(): boolean {
    return internals(this.model)._refCount === 1;
  }

  get heldBytes(): number | null {
    return this.layer?.heldBytes ?? null;
  }

  get norms(): NormWeight[] {
    return this.normFields.map(({name, base}) => ({name, read: () => base.read()}));
  }

  private get normFields(): (Omit<TrainedNorm, 'own'> & {name: string})[] {
    return mapModel(asContainer(this.model)).layers.flatMap(({layer, path}) => {
      if (!isLayerNorm(layer)) return [];
      const fields = inside<LayerNormalization>(layer);
      return (['gamma', 'beta'] as const).flatMap((field) => {
        const base = fields[field];
        return base === null ? [] : [{name: `${path}.${field}`, layer, field, base}];
      });
    });
  }

  checkAlive(): void {
    if (internals(this.model)._refCount === 0)
      throw new ConfigError(`Model '${this.model.name}' is disposed. Load it again.`);
  }

  checkIdle(): void {
    checkIdle(this.models);
  }

  frozenWeights(): Hashable[] {
    return mapModel(asContainer(this.model)).layers.flatMap(({path, layer}) =>
      layer.weights.map((variable) => ({
        name: `${path}.${leafName(variable)}`,
        shape: variable.shape as number[],
        read: () => variable.read().data() as Promise<Float32Array>,
      })),
    );
  }

  attach(side: SideRun): void {
    const preparation = this.recompiler.prepare(this.models);
    try {
      const {layers} = mapModel(asContainer(this.model));
      this.listWeights(side);
      this.claims.addFree(layers);
      this.freezer.freeze(layers.flatMap(partsAt));
      this.freezer.open(this.models);
      this.trained = this.normFields.flatMap(({name, ...norm}) => {
        const own = side.norms.get(name);
        return own === undefined ? [] : [{...norm, own}];
      });
      this.fusedNorms.replace([...new Set(this.trained.map(({layer}) => layer))], () => this.linked);
      this.plan(side);
      this.enable(true);
    } catch (error) {
      preparation.abandon();
      this.restore();
      this.freezer.restore();
      throw error;
    }
    preparation.commit();
  }

  enable(enabled: boolean): void {
    this.enabled = enabled;
    this.link(enabled);
  }

  pause(): () => void {
    this.link(false);
    this.claims.clear();
    return () => {
      this.claims.addFree(mapModel(asContainer(this.model)).layers);
      this.link(this.enabled);
    };
  }

  private link(enabled: boolean): void {
    if (this.linked === enabled) return;
    this.linked = enabled;
    for (const {layer, field, base, own} of this.trained)
      inside<LayerNormalization>(layer)[field] = enabled ? own : base;
    for (const {reader, before, after} of this.links)
      Object.assign(reader, {inputs: enabled ? after : before});
    const other = enabled ? this.instead : new Map([...this.instead].map(([from, to]) => [to, from]));
    for (const model of this.running)
      model.outputs = model.outputs.map((output) => other.get(output) ?? output);
    forgetOrders();
  }

  detach(): void {
    const preparation = this.recompiler.prepare(this.models, true);
    this.restore();
    preparation.commit();
    // Compiling a Sequential writes the variables' trainable bits.
    this.freezer.restore();
  }

  release(): void {
    this.restore();
    this.freezer.restore();
    this.recompiler.release();
  }

  private restore(): void {
    this.enable(false);
    for (const undo of this.undo.splice(0)) undo();
    this.fusedNorms.restore();
    this.trained = [];
    this.links = [];
    this.instead.clear();
    this.claims.clear();
    this.freezer.restore();
  }

  private get models(): Container[] {
    return mapModel(asContainer(this.model)).models;
  }

  /** The model, and, of a Sequential, the one through which it runs. */
  private get running(): (Container & {outputs: tfl.SymbolicTensor[]})[] {
    const model = asContainer(this.model);
    const all = model.model == null ? [model] : [model, asContainer(model.model)];
    return all.map((each) => inside(each));
  }

  private get outputs(): tfl.SymbolicTensor[] {
    return this.running.at(-1)!.outputs;
  }

  /** The base's weights, once each. */
  private get base(): tfl.LayerVariable[] {
    return [...new Set(this.model.weights)];
  }

  /** While the network is there, it alone is trained; lists of weights, and so files, are the base's. */
  private listWeights(side: SideRun): void {
    const {base} = this;
    const lists = {
      trainableWeights: {get: () => (this.enabled ? [...side.variables, ...side.norms.values()] : [])},
      nonTrainableWeights: {get: () => base},
      weights: {get: () => base},
    };
    const model = asContainer(this.model);
    this.define(model, lists);
    if (model.model == null) return;
    // A Sequential makes a new model to run through whenever it is compiled.
    let running = asContainer(model.model);
    this.define(running, lists);
    const set = (made: tfl.LayersModel) => {
      running = asContainer(made);
      Object.defineProperties(running, configurable(lists));
    };
    this.define(model, {model: {get: () => running, set, enumerable: true}});
    this.undo.push(() => {
      Object.assign(model, {model: running});
      for (const name of Object.keys(lists)) Reflect.deleteProperty(running, name);
    });
  }

  /** Defines properties until the end. */
  private define(on: object, properties: PropertyDescriptorMap): void {
    for (const name of Object.keys(properties)) {
      const own = Object.getOwnPropertyDescriptor(on, name);
      this.undo.push(() => {
        if (own === undefined) Reflect.deleteProperty(on, name);
        else Object.defineProperty(on, name, own);
      });
    }
    Object.defineProperties(on, configurable(properties));
  }

  /** Where values are kept: of what the network is trained on, or evaluated with during that. */
  private cacheOf({cache}: SideRun): TapCache | undefined {
    if (cache === undefined) return undefined;
    const isTrained = isInTraining(asContainer(this.model)) || tf.engine().state.gradientDepth > 0;
    if (!isTrained) return undefined;
    cache.follow(this.base.map((variable) => variable.read()));
    return cache;
  }

  /** What reads other tensors while the network runs. */
  private plan(side: SideRun): void {
    const anchor = this.taps.at(-1)!;
    const extra = this.mask === undefined ? [] : [this.mask];
    const front = ancestors([...this.taps, ...extra]);
    const isCrossing = (tensor: tfl.SymbolicTensor) =>
      tensor === anchor || (front.has(tensor) && !isInput(tensor));
    const behind = [...ancestors(this.outputs)].filter((tensor) => !front.has(tensor));
    const readers = behind.filter(({inputs}) => inputs.some(isCrossing));
    const read = [...readers.flatMap(({inputs}) => inputs), ...this.outputs].filter(isCrossing);
    const crossing = [...new Set(read)].filter((tensor) => tensor !== anchor);
    this.instead = this.makeLayers(side, anchor, crossing);
    this.links = readers.map((reader) => {
      const before = reader.inputs;
      return {reader, before, after: before.map((tensor) => this.instead.get(tensor) ?? tensor)};
    });
  }

  /** The layers that stand for the front, and what they give for each tensor of it that is read. */
  private makeLayers(
    side: SideRun,
    anchor: tfl.SymbolicTensor,
    crossing: readonly tfl.SymbolicTensor[],
  ): Map<tfl.SymbolicTensor, tfl.SymbolicTensor> {
    const masked = this.mask !== undefined;
    const front = new Front(
      [...this.taps, ...(masked ? [this.mask!] : []), ...crossing],
      new Set(this.trained.map((norm) => norm.layer)),
    );
    const {stateful} = front;
    if (side.cache !== undefined && stateful !== undefined) {
      throw new ConfigError(
        `cacheBytes: layer '${stateful.name}' keeps a state from batch to batch, so what it gives for a sample ` +
          'cannot be kept. Leave cacheBytes out.',
      );
    }
    const cache = () => this.cacheOf(side);
    const layer = new SideLayer({front, taps: this.taps.length, masked, side, cache}, anchor.shape);
    this.layer = layer;
    const sum = layer.apply(front.inputs) as tfl.SymbolicTensor;
    const instead = new Map([[anchor, sum]]);
    for (const [i, tensor] of crossing.entries()) {
      const other = new CrossingLayer(layer, i, tensor.shape);
      instead.set(tensor, other.apply(sum) as tfl.SymbolicTensor);
    }
    this.undo.push(() => {
      // The model's inputs know the layers that read them.
      for (const {sourceLayer} of front.inputs) {
        const {outboundNodes} = internals(sourceLayer);
        const at = outboundNodes.findIndex((node) => node.outboundLayer === layer);
        if (at >= 0) outboundNodes.splice(at, 1);
      }
    });
    return instead;
  }
}

/** tfjs-layers remembers in which order layers run: that is another one now. */
function forgetOrders(): void {
  const most = tf.env().getNumber(CACHED_ORDERS);
  tf.env().set(CACHED_ORDERS, 0);
  tf.env().set(CACHED_ORDERS, most);
}

/**
 * How many tokens a tap gives for each sample; null if that depends on the batch.
 *
 * @throws ConfigError if it gives no float32 tokens.
 */
function tokensOf(name: string, {shape, dtype}: tfl.SymbolicTensor): number | null {
  if (shape.length < 2 || shape.at(-1) === null || dtype !== 'float32') {
    throw new ConfigError(
      `taps: '${name}' gives [${shape}] of ${dtype}, but a tap gives [batch, ..., channels] of float32, with ` +
        'a fixed number of channels. Tap another layer.',
    );
  }
  const between = shape.slice(1, -1);
  return between.some((size) => size === null) ? null : between.reduce<number>((all, size) => all * size!, 1);
}

/** Properties that can be taken back. */
function configurable(properties: PropertyDescriptorMap): PropertyDescriptorMap {
  return Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [name, {...property, configurable: true}]),
  );
}
