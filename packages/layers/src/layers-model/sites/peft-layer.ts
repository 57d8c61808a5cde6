import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, isInstance, SHARED_CLASS} from '@tfjs-peft/kernels';
import type {RouterContext} from '@tfjs-peft/routers';
import type {AdapterConfig, SiteDims} from '../../core/adapters/adapter.js';
import {AdaptedSite} from '../../core/sites/adapted-site.js';
import type {Operation} from '../../core/sites/operation.js';
import type {SharedShape} from '../../core/sites/shared-weights.js';
import type {UsageRecorder} from '../../core/sites/usage.js';
import {internals} from '../../core/tfjs/internals.js';
import type {LayerSite} from './layer-site.js';
import {Resemblance} from './resemblance.js';
import {decodeAdapters, encodeAdapter, type SavedAdapter} from './saved-adapters.js';

/** Arguments of a layer with adapters, besides those of its stock layer. */
export interface PeftLayerArgs {
  name?: string;
  trainable?: boolean;
  /** Values of the frozen weights. */
  weights?: tf.Tensor[];
  /** Train the stock weights too. Default false: they are frozen. */
  trainableBase?: boolean;
  /** Adapters from `getConfig`. To add adapters to a new layer, use {@link PeftLayer.addAdapter}. */
  adapters?: SavedAdapter[];
}

/**
 * A layer with any number of named adapters, of which at most one is active. It contains a stock layer, which
 * computes the frozen part, and an {@link AdaptedSite}, which computes the rest. The stock weights are frozen
 * unless `trainableBase` is set; only the active adapter's weights are trainable. Without an active adapter
 * it runs the stock layer, so the outputs are the same bit for bit. Members that it does not define come from
 * the stock layer: `units`, `cell`, `kernel`, `resetStates`, and the `apply` of its class.
 *
 * The weights of an adapter are named `<layer>/<adapter>/<weight>`. `model.save` writes all adapters and
 * which one is active; `tf.loadLayersModel` restores them (import this package first: it registers the
 * classes).
 *
 * @example
 * ```ts
 * import {PeftDense, PeftLayer} from '@tfjs-peft/layers';
 *
 * const layer: PeftLayer = new PeftDense({units: 4});
 * layer.addAdapter('a', {type: 'lora', rank: 2});
 * layer.activate('a');
 * ```
 */
export abstract class PeftLayer extends tfl.layers.Layer {
  static readonly [SHARED_CLASS] = true;
  static readonly kind: string = 'PeftLayer';

  /** Also true for layers of another copy of this package. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: a subclass's instanceof asks for the subclass.
    return isInstance(this, value);
  }

  /** The adapters, apart from any layer. */
  readonly site: AdaptedSite;
  protected readonly inner: tfl.layers.Layer;
  private readonly kindOfSite: LayerSite;
  private readonly operation: Operation;
  private readonly trainableBase: boolean;
  /** Whether the stock weights are trained now, with or without an adapter. */
  private baseTrained = false;
  private readonly baseValues: tf.Tensor[] | undefined;
  private readonly resemblance: Resemblance;

  /**
   * @param inner The stock layer, which this layer may replace in a model.
   * @throws ConfigError if a saved adapter or its config is invalid; UnsupportedSiteError if the layer cannot
   * be a site.
   */
  protected constructor(args: PeftLayerArgs, inner: tfl.layers.Layer, kind: LayerSite) {
    super({name: args.name ?? inner.name, trainable: args.trainable ?? true});
    this.inner = inner;
    this.kindOfSite = kind;
    this.operation = kind.operation(inner);
    this.trainableBase = args.trainableBase ?? false;
    this.baseValues = args.weights;
    this.site = new AdaptedSite(this.operation, () => `Layer '${this.name}'`);
    this.resemblance = new Resemblance(this, inner);
    for (const {adapter, active, config, shared} of decodeAdapters(this.name, args.adapters)) {
      this.addAdapter(adapter, config, undefined, shared);
      if (active) this.activate(adapter);
    }
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    if (!this.inner.built) this.inner.build(inputShape);
    if (this.baseValues !== undefined) this.inner.setWeights(this.baseValues);
    for (const variable of this.base) variable.trainable = this.trainableBase;
    this.adoptBase(true);
  }

  /** As in the class of the stock layer: a recurrent layer takes its initial states. */
  override apply(
    inputs: tf.Tensor | tf.Tensor[] | tfl.SymbolicTensor | tfl.SymbolicTensor[],
    kwargs?: Record<string, unknown>,
  ): tf.Tensor | tf.Tensor[] | tfl.SymbolicTensor | tfl.SymbolicTensor[] {
    // A copy: stock RNNs write their states into it, and while training tfjs-layers hands one object to all
    // layers.
    return this.inner.apply.call(this, inputs, {...kwargs});
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    this.resemblance.handOver();
    return tf.tidy(() => {
      if (this.site.active === null) return this.inner.call(inputs, kwargs);
      internals(this.inner).invokeCallHook(inputs, kwargs);
      const training = kwargs?.training === true;
      const {input, mask, finish} = this.kindOfSite;
      const call = {layer: this.inner, inputs: Array.isArray(inputs) ? inputs : [inputs], kwargs, training};
      const x = input === undefined ? asFloat(call.inputs[0]!) : input(call);
      const y = this.site.apply(x, {training, mask: mask?.(call) ?? kwargs?.mask});
      return finish === undefined ? y : finish(y, call);
    });
  }

  // A user's hook belongs to the stock layer: it was there before this layer came, and stays there.

  override setCallHook(hook: Parameters<tfl.layers.Layer['setCallHook']>[0]): void {
    this.inner.setCallHook(hook);
  }

  override clearCallHook(): void {
    this.inner.clearCallHook();
  }

  override addLoss(losses: Parameters<tfl.layers.Layer['addLoss']>[0]): void {
    this.inner.addLoss(losses);
  }

  /** The losses of the stock layer and of the active adapter's router. */
  override get losses(): tfl.layers.Layer['losses'] {
    return this.site.hasLoss ? [...this.inner.losses, () => this.site.takeLoss()] : this.inner.losses;
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape | tfl.Shape[] {
    const shape = this.inner.computeOutputShape(inputShape);
    const {virtualTokens} = this.site;
    if (virtualTokens === 0) return shape;
    const [batch, length, ...rest] = shape as tfl.Shape;
    return [batch!, length == null ? null : length + virtualTokens, ...rest];
  }

  override computeMask(
    inputs: tf.Tensor | tf.Tensor[],
    mask?: tf.Tensor | tf.Tensor[],
  ): tf.Tensor | tf.Tensor[] {
    const own = this.inner.computeMask(inputs, mask) as tf.Tensor | null;
    const {virtualTokens} = this.site;
    if (virtualTokens === 0 || own === null) return own as tf.Tensor;
    return tf.tidy(() =>
      tf.concat([tf.ones([own.shape[0]!, virtualTokens], 'bool'), tf.cast(own, 'bool')], 1),
    );
  }

  override setFastWeightInitDuringBuild(value: boolean): void {
    super.setFastWeightInitDuringBuild(value);
    this.inner.setFastWeightInitDuringBuild(value);
  }

  override getConfig(): tf.serialization.ConfigDict {
    const adapters = this.site.records.map(encodeAdapter);
    return {...super.getConfig(), trainableBase: this.trainableBase, adapters};
  }

  /** Kind of the site, such as `dense`. */
  get kind(): string {
    return this.kindOfSite.kind;
  }

  /** The stock layer. */
  get stock(): tfl.layers.Layer {
    return this.inner;
  }

  /** Widths of the site; the layer must be built. */
  get dims(): SiteDims {
    return this.operation.dims;
  }

  /** The frozen weights: the stock layer's own variables. Empty until the layer is built. */
  get base(): tfl.LayerVariable[] {
    return this.inner.weights;
  }

  /**
   * The frozen weights, then those of the adapters in the order in which they were added, whichever is
   * active.
   */
  override get weights(): tfl.LayerVariable[] {
    return [...this.base, ...this.site.weights];
  }

  /** Names of the adapters, in the order in which they were added. */
  get adapterNames(): string[] {
    return this.site.names;
  }

  /** Name of the active adapter, or null. */
  get activeAdapter(): string | null {
    return this.site.active;
  }

  /** Adds an adapter, without making it active; see {@link AdaptedSite.add}. */
  addAdapter(name: string, config: AdapterConfig, seed?: number, shared?: readonly SharedShape[]): void {
    this.site.add(name, config, seed, shared);
    this.listWeights();
  }

  /** Removes an adapter and disposes its weights; see {@link AdaptedSite.remove}. */
  removeAdapter(name: string): void {
    this.site.remove(name);
    this.listWeights();
  }

  /**
   * Makes one adapter active, or none. Compile a compiled model again before you train the weights of the new
   * adapter.
   *
   * @throws ConfigError if no adapter has that name.
   */
  activate(name: string | null): void {
    this.site.activate(name);
    this.listWeights();
  }

  /** Adds the stock weights to the trained ones, or removes them; the caller sets their `trainable` bits. */
  trainBase(trained: boolean): void {
    this.baseTrained = trained;
    this.listWeights();
  }

  /**
   * The variables of an adapter by their names in it; empty until the layer is built.
   *
   * @throws ConfigError if no adapter has that name.
   */
  adapterWeights(name: string): Map<string, tfl.LayerVariable> {
    return this.site.weightsOf(name);
  }

  /**
   * The config of an adapter with all defaults filled in.
   *
   * @throws ConfigError if no adapter has that name.
   */
  adapterConfig(name: string): AdapterConfig {
    return this.site.configOf(name);
  }

  /** Returns the context of the batch, at every call; see {@link AnyPeft.setContext}. */
  get context(): (() => RouterContext | undefined) | undefined {
    return this.site.context;
  }

  set context(context: (() => RouterContext | undefined) | undefined) {
    if (context === undefined) delete this.site.context;
    else this.site.context = context;
  }

  /** Counts the decisions of the active adapter's router; see {@link AnyPeft.trackUsage}. */
  get usage(): UsageRecorder | undefined {
    return this.site.usage;
  }

  set usage(usage: UsageRecorder | undefined) {
    if (usage === undefined) delete this.site.usage;
    else this.site.usage = usage;
  }

  /**
   * Takes over the weights of a built stock layer. Here they are non-trainable; the stock layer's own lists
   * and the `trainable` bits of the variables do not change.
   *
   * @throws ConfigError if the stock layer is not built.
   */
  protected takePlace(): void {
    if (this.base.length === 0) {
      throw new ConfigError(
        `${this.inner.getClassName()} layer '${this.name}' has no weights yet. ` +
          'Build the model first: call model.predict once, or give its first layer an inputShape.',
      );
    }
    this.adoptBase(false);
  }

  /** @param entered Whether tfjs-layers is inside the layer's own name scope. */
  private adoptBase(entered: boolean): void {
    this.resemblance.update();
    this.built = true;
    this.site.build({prefix: this.weightPrefix, entered});
    this.listWeights();
  }

  /**
   * What the names of this layer's weights start with; the names of the stock weights come from where the
   * layer was built.
   */
  private get weightPrefix(): string {
    const {originalName} = this.base[0]!;
    const end = originalName.lastIndexOf('/') + 1;
    return end > 0 ? originalName.slice(0, end) : `${this.name}/`;
  }

  /**
   * Puts every variable into the list where tfjs-layers looks for it; the setter of `trainable` leaves the
   * non-trainable ones alone.
   */
  private listWeights(): void {
    const active = new Set(this.site.trainable);
    for (const variable of this.site.weights) variable.trainable = active.has(variable) && this.trainable;
    const fixed = this.site.weights.filter((variable) => !active.has(variable));
    const {base} = this;
    const trained = this.trainableBase || this.baseTrained;
    this.trainableWeights = [...(trained ? base : []), ...active];
    this.nonTrainableWeights = [...(trained ? [] : base), ...fixed];
  }
}

function asFloat(x: tf.Tensor): tf.Tensor {
  return x.dtype === 'float32' ? x : tf.cast(x, 'float32');
}
