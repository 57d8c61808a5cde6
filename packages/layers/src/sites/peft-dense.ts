import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {
  type CombineInputs,
  ConfigError,
  combine,
  DuplicateNameError,
  UnsupportedSiteError,
} from '@tfjs-peft/kernels';
import type {RouterContext, Routing} from '@tfjs-peft/routers';
import type {AdapterConfig, SiteDims} from '../adapters/adapter.js';
import {createAdapter} from '../adapters/registry.js';
import {fusedActivation, restoredName} from './activation.js';
import {AdapterSlot, type FrozenBase} from './adapter-slot.js';
import {AuxiliaryLoss} from './auxiliary-loss.js';
import {decodeAdapters, encodeAdapter, type SavedAdapter} from './saved-adapters.js';
import type {UsageRecorder} from './usage.js';
import {contextOf} from './view.js';

/** Arguments of a stock Dense layer. */
export type DenseArgs = Parameters<typeof tfl.layers.dense>[0];

/** Arguments of {@link PeftDense}: those of a stock Dense layer, and its adapters. */
export type PeftDenseArgs = DenseArgs & {
  /** Train the kernel and bias too. Default false: they are frozen, whatever their values. */
  trainableBase?: boolean;
  /** Adapters as {@link PeftDense.getConfig} writes them; to make a layer, use {@link PeftDense.addAdapter}. */
  adapters?: SavedAdapter[];
};

type Shape = tfl.Shape;

/** The private fields of a stock Dense that this layer reads. */
interface DenseInternals {
  readonly activation: {getClassName(): string; apply(x: tf.Tensor): tf.Tensor};
  readonly kernel: tfl.LayerVariable | null;
  readonly bias: tfl.LayerVariable | null;
}

/**
 * A Dense layer with any number of named adapters, of which at most one is active. The kernel and bias are frozen unless
 * `trainableBase` is set; only the active adapter's weights are trainable. With no active adapter its outputs are the stock
 * layer's, bit for bit, for it then runs the stock layer.
 *
 * Input [..., dIn] of rank 2 or more, output [..., units], float32; masks pass through, as with a stock Dense.
 *
 * The weights of an adapter are named `<layer>/<adapter>/<weight>`. `model.save` writes all adapters and which one is active, and
 * `tf.loadLayersModel` brings them back (import this package first: it registers the class).
 */
export class PeftDense extends tfl.layers.Layer {
  /** @nocollapse */
  static readonly className: string = 'PeftDense';

  private readonly dense: tfl.layers.Layer;
  private readonly trainableBase: boolean;
  private readonly baseValues: tf.Tensor[] | undefined;
  private readonly slots = new Map<string, AdapterSlot>();
  private readonly auxiliary = new AuxiliaryLoss();
  private activeSlot: AdapterSlot | null = null;
  /** Asked at every call for what the batch brings along; see {@link Peft.setContext}. */
  context?: () => RouterContext | undefined;
  /** Counts what the active adapter's router decides; see {@link Peft.trackUsage}. */
  usage?: UsageRecorder;

  /**
   * @param args Those of a stock Dense (`units`, `activation`, `useBias`, initializers, `inputShape`, ...), and
   * {@link PeftDenseArgs}'s own. `weights` are the kernel and bias.
   * @param dense The layer whose place this one takes; for {@link PeftDense.fromDense}.
   * @throws ConfigError if a saved adapter is malformed or its config not good.
   */
  constructor(args: PeftDenseArgs, dense?: tfl.layers.Layer) {
    super({name: args.name, trainable: args.trainable});
    const {adapters, trainableBase, weights, ...denseArgs} = args;
    const activation = restoredName(args.activation) as DenseArgs['activation'];
    this.dense = dense ?? tfl.layers.dense({...denseArgs, activation, name: this.name});
    this.trainableBase = trainableBase ?? false;
    this.baseValues = weights;
    this.batchInputShape = this.dense.batchInputShape;
    this.dtype = this.dense.dtype;
    this.inputSpec = this.dense.inputSpec;
    this.activityRegularizer = this.dense.activityRegularizer;
    this.supportsMasking = true;
    for (const {adapter, active, config} of decodeAdapters(this.name, adapters)) {
      this.addAdapter(adapter, config);
      if (active) this.activate(adapter);
    }
  }

  /**
   * A layer that stands in for a built stock Dense: it has its name and runs it, and so shares its kernel and bias. They count as
   * non-trainable weights here; the Dense's own lists, and the `trainable` bits of the two variables, stay as they are. The new
   * layer is trainable even if the Dense was not, for that said only that the base is frozen.
   *
   * @throws UnsupportedSiteError if it is not a stock Dense; ConfigError if it is not built.
   */
  static fromDense(dense: tfl.layers.Layer): PeftDense {
    if (dense.getClassName() !== 'Dense') {
      throw new UnsupportedSiteError(
        `Layer '${dense.name}' is a ${dense.getClassName()}, but must be a Dense. Choose other targets.`,
      );
    }
    if (!dense.built) {
      throw new ConfigError(
        `Dense layer '${dense.name}' has no weights yet. Build the model first, e.g. call it once.`,
      );
    }
    const layer = new PeftDense(
      {name: dense.name, units: (dense as unknown as {units: number}).units},
      dense,
    );
    layer.adoptBase();
    return layer;
  }

  override build(inputShape: Shape | Shape[]): void {
    if (!this.dense.built) this.dense.build(inputShape);
    if (this.baseValues !== undefined) this.dense.setWeights(this.baseValues);
    for (const variable of this.base) variable.trainable = this.trainableBase;
    this.adoptBase();
    for (const slot of this.slots.values()) {
      slot.build(this.dims, {prefix: this.weightPrefix, entered: true}, this.frozen);
    }
    this.listWeights();
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      if (this.activeSlot === null) return this.dense.call(inputs, kwargs);
      const input = Array.isArray(inputs) ? inputs[0]! : inputs;
      const x = input.dtype === 'float32' ? input : tf.cast(input, 'float32');
      const {kernel, bias} = this.frozen;
      const training = kwargs?.training === true;
      const context = contextOf(x, this.context?.(), kwargs?.mask);
      const {adapter} = this.activeSlot;
      const reading = adapter.reads === 'output' ? this.activated({x, kernel, bias}) : undefined;
      const parts = adapter.parts({
        input: reading ?? x,
        training,
        kernel,
        ...(bias && {bias}),
        ...(context && {context}),
        observe: (routing) => this.observe(routing, training, context),
      });
      if (reading !== undefined) return combine({z: reading, ...parts});
      return this.activated({x, kernel, bias, ...parts});
    });
  }

  /** The site's expression with the layer's own activation, fused where the ops have it. */
  private activated(inputs: CombineInputs): tf.Tensor {
    const {activation} = this.internals;
    const fused = fusedActivation(activation.getClassName());
    if (fused !== undefined) return combine({...inputs, activation: fused});
    const {post, ...inner} = inputs;
    const y = activation.apply(combine(inner));
    return post === undefined ? y : combine({z: y, post});
  }

  /** What the stock layer adds to the loss, and what the active adapter's router does. */
  override get losses(): tfl.layers.Layer['losses'] {
    return this.activeSlot?.adapter.hasLoss === true
      ? [...super.losses, () => this.auxiliary.take()]
      : super.losses;
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape | Shape[] {
    return this.dense.computeOutputShape(inputShape);
  }

  override setFastWeightInitDuringBuild(value: boolean): void {
    super.setFastWeightInitDuringBuild(value);
    this.dense.setFastWeightInitDuringBuild(value);
  }

  override getConfig(): tf.serialization.ConfigDict {
    const adapters = [...this.slots.values()].map((slot) =>
      encodeAdapter({
        adapter: slot.name,
        active: slot === this.activeSlot,
        config: slot.adapter.getConfig(),
      }),
    );
    return {...this.dense.getConfig(), ...super.getConfig(), trainableBase: this.trainableBase, adapters};
  }

  /** Widths of the site; the layer must be built. */
  get dims(): SiteDims {
    const [inputDim, outputDim] = this.internals.kernel!.shape as [number, number];
    return {inputDim, outputDim};
  }

  /** The kernel and, if there is one, the bias: the stock layer's own variables. Empty until the layer is built. */
  get base(): tfl.LayerVariable[] {
    const {kernel, bias} = this.internals;
    return [kernel, bias].filter((variable) => variable != null);
  }

  /** Names of the adapters, in the order in which they were added. */
  get adapterNames(): string[] {
    return [...this.slots.keys()];
  }

  /** Name of the active adapter, or null. */
  get activeAdapter(): string | null {
    return this.activeSlot?.name ?? null;
  }

  /**
   * Adds an adapter, without making it active. If the layer is not built yet, its weights come with the layer's.
   *
   * @param name Any text that is not empty.
   * @param seed Seed of the random initial values: the same seed gives the same values on every backend. Without one they differ
   * every time. Layers of one model need seeds of their own; see `deriveSeed`.
   * @throws DuplicateNameError if there is one of that name; ConfigError if the config is not good. The layer is then unchanged.
   */
  addAdapter(name: string, config: AdapterConfig, seed?: number): void {
    if (typeof name !== 'string' || name === '') {
      throw new ConfigError(`Layer '${this.name}': an adapter's name must be a text that is not empty.`);
    }
    if (this.slots.has(name)) {
      throw new DuplicateNameError(
        `Layer '${this.name}' has an adapter '${name}' already. Choose another name, or remove that one first.`,
      );
    }
    const built = this.internals.kernel !== null;
    const slot = new AdapterSlot(name, createAdapter(config, built ? this.dims : undefined), seed);
    if (built) slot.build(this.dims, {prefix: this.weightPrefix, entered: false}, this.frozen);
    this.slots.set(name, slot);
    this.listWeights();
  }

  /**
   * Removes an adapter and disposes its weights; if it was active, none is then.
   *
   * @throws ConfigError if there is none of that name.
   */
  removeAdapter(name: string): void {
    const slot = this.slot(name);
    if (slot === this.activeSlot) {
      this.activeSlot = null;
      this.auxiliary.dispose();
    }
    this.slots.delete(name);
    slot.dispose();
    this.listWeights();
  }

  /**
   * Makes one adapter active, or none. A compiled model has to be compiled again before it trains the new one's weights.
   *
   * @throws ConfigError if there is none of that name.
   */
  activate(name: string | null): void {
    this.activeSlot = name === null ? null : this.slot(name);
    this.listWeights();
  }

  /**
   * The variables of an adapter by the names that it gives them; empty until the layer is built.
   *
   * @throws ConfigError if there is none of that name.
   */
  adapterWeights(name: string): Map<string, tfl.LayerVariable> {
    return new Map(this.slot(name).weights);
  }

  /**
   * The config of an adapter with all defaults filled in.
   *
   * @throws ConfigError if there is none of that name.
   */
  adapterConfig(name: string): AdapterConfig {
    return this.slot(name).adapter.getConfig();
  }

  private observe(routing: Routing, training: boolean, context: RouterContext | undefined): void {
    this.usage?.add(routing, context);
    if (training && routing.loss !== undefined) this.auxiliary.add(routing.loss);
  }

  private get frozen(): FrozenBase {
    const {kernel, bias} = this.internals;
    const vector = bias?.read() as tf.Tensor1D | undefined;
    return {kernel: kernel!.read() as tf.Tensor2D, ...(vector && {bias: vector})};
  }

  private get internals(): DenseInternals {
    return this.dense as unknown as DenseInternals;
  }

  /** What the names of this layer's weights start with; the kernel has it from wherever the layer was built. */
  private get weightPrefix(): string {
    const {originalName} = this.internals.kernel!;
    const end = originalName.lastIndexOf('/') + 1;
    return end > 0 ? originalName.slice(0, end) : `${this.name}/`;
  }

  private slot(name: string): AdapterSlot {
    const slot = this.slots.get(name);
    if (slot === undefined) {
      const known = this.adapterNames.map((known) => `'${known}'`).join(', ') || 'none';
      throw new ConfigError(`Layer '${this.name}' has no adapter '${name}'. It has: ${known}.`);
    }
    return slot;
  }

  private adoptBase(): void {
    this.inputSpec = this.dense.inputSpec;
    this.built = true;
    for (const loss of this.dense.losses) this.addLoss(loss);
    this.listWeights();
  }

  /** Files every variable where tfjs-layers looks for it; the setter of `trainable` leaves the non-trainable ones alone. */
  private listWeights(): void {
    const trainable: tfl.LayerVariable[] = this.trainableBase ? [...this.base] : [];
    const frozen: tfl.LayerVariable[] = this.trainableBase ? [] : [...this.base];
    for (const slot of this.slots.values()) {
      const active = slot === this.activeSlot ? slot.trainable : [];
      for (const variable of slot.weights.values()) {
        const trains = active.includes(variable);
        variable.trainable = trains && this.trainable;
        (trains ? trainable : frozen).push(variable);
      }
    }
    this.trainableWeights = trainable;
    this.nonTrainableWeights = frozen;
  }
}
