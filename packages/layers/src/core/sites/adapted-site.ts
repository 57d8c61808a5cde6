import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, DuplicateNameError} from '@tfjs-peft/kernels';
import type {RouterContext} from '@tfjs-peft/routers';
import type {Adapter, AdapterConfig} from '../adapters/adapter.js';
import {checkCompatible} from '../adapters/compatibility.js';
import {createAdapter} from '../adapters/registry.js';
import {AdapterSlot, type VariableScope} from './adapter-slot.js';
import {AuxiliaryLoss} from './auxiliary-loss.js';
import type {Operation} from './operation.js';
import {runSite, type SiteStage} from './run-site.js';
import type {SharedPart, SharedShape} from './shared-weights.js';
import type {UsageRecorder} from './usage.js';

/** Options of one call of a site. */
export interface CallOptions {
  /** Default false. */
  training?: boolean;
  /** The mask from tfjs-layers; it is used if it has one entry per row of the routers' input. */
  mask?: unknown;
  /** Where to stop, without counting usage or losses. Default: at the site's output. */
  until?: SiteStage | undefined;
}

/**
 * The adapters of one frozen operation: any number of named ones, of which at most one is active. It knows
 * neither layers nor graph nodes; its owner exposes the variables.
 *
 * @example
 * ```ts
 * import {PeftDense} from '@tfjs-peft/layers';
 *
 * const {site} = new PeftDense({units: 4, inputShape: [8]});
 * site.add('default', {type: 'lora', rank: 2});
 * const names = site.names; // ['default']
 * ```
 */
export class AdaptedSite {
  /** Returns the context of the batch, at every call; see {@link AnyPeft.setContext}. */
  context?: () => RouterContext | undefined;
  /**
   * Returns the factor of the routers' losses, at every training call; with 0 they are not computed. Default:
   * 1.
   */
  lossScale?: () => number;
  /** Counts the decisions of the active adapter's router; see {@link AnyPeft.trackUsage}. */
  usage?: UsageRecorder;
  private readonly slots = new Map<string, AdapterSlot>();
  private readonly auxiliary = new AuxiliaryLoss();
  private activeSlot: AdapterSlot | null = null;
  private prefix: string | undefined;

  /** @param label Returns the name of the site in errors, such as `Layer 'dense_1'`. */
  constructor(
    private readonly operation: Operation,
    private readonly label: () => string,
  ) {}

  /**
   * Call this when the operation has its weights: adapters added before then get theirs.
   *
   * @param scope Prefix of the variables' names.
   * @throws UnsupportedSiteError if an adapter cannot act here.
   */
  build(scope: VariableScope): void {
    for (const {adapter} of this.slots.values()) checkCompatible(adapter, this.operation.dims, this.label());
    for (const slot of this.slots.values()) this.buildSlot(slot, scope);
    this.prefix = scope.prefix;
  }

  /** Names of the adapters, in the order in which they were added. */
  get names(): string[] {
    return [...this.slots.keys()];
  }

  /** Name of the active adapter, or null. */
  get active(): string | null {
    return this.activeSlot?.name ?? null;
  }

  /** The variables of all adapters, with this site's parts of shared weights that are saved. */
  get weights(): tfl.LayerVariable[] {
    return [...this.slots.values()].flatMap((slot) => [...slot.weights.values(), ...slot.stored.values()]);
  }

  /** The variables that training changes: the trainable ones of the active adapter. */
  get trainable(): tfl.LayerVariable[] {
    return this.activeSlot?.trainable ?? [];
  }

  /** All adapters, in the form in which they are saved. */
  get records(): {adapter: string; active: boolean; config: AdapterConfig; shared: SharedShape[]}[] {
    return [...this.slots.values()].map((slot) => ({
      adapter: slot.name,
      active: slot === this.activeSlot,
      config: slot.adapter.getConfig(),
      shared: slot.shared,
    }));
  }

  /**
   * Adds an adapter without activating it. If the operation has no weights yet, those of the adapter are made
   * later, with them.
   *
   * @param name Any non-empty string.
   * @param seed Seed of the random initial values. The same seed gives the same values on every backend.
   * Default: different every time. Give each site of a model its own seed; see `deriveSeed`.
   * @param shared Shapes of the weights that it shares with other sites. Default: those of this site alone.
   * @throws DuplicateNameError if an adapter has that name; ConfigError if the config is invalid;
   * UnsupportedSiteError if the adapter cannot act here. The site is then unchanged.
   */
  add(name: string, config: AdapterConfig, seed?: number, shared?: readonly SharedShape[]): void {
    if (typeof name !== 'string' || name === '') {
      throw new ConfigError(`${this.label()}: an adapter needs a name that is a non-empty string. Pass one.`);
    }
    if (this.slots.has(name)) {
      throw new DuplicateNameError(
        `${this.label()} already has an adapter '${name}'. Choose another name, or remove that one first.`,
      );
    }
    const built = this.prefix !== undefined;
    const adapter = createAdapter(config, built ? this.operation.dims : undefined);
    if (built) checkCompatible(adapter, this.operation.dims, this.label());
    const slot = new AdapterSlot(name, adapter, seed, shared);
    if (built) this.buildSlot(slot, {prefix: this.prefix!, entered: false});
    this.slots.set(name, slot);
  }

  /**
   * Removes an adapter and disposes its weights. If it was active, no adapter is active afterwards.
   *
   * @throws ConfigError if there is none of that name.
   */
  remove(name: string): void {
    const slot = this.slot(name);
    if (slot === this.activeSlot) {
      this.activeSlot = null;
      this.auxiliary.dispose();
    }
    this.slots.delete(name);
    this.usage?.reset(name);
    slot.dispose();
  }

  /**
   * Makes one adapter active, or none.
   *
   * @throws ConfigError if there is none of that name.
   */
  activate(name: string | null): void {
    const next = name === null ? null : this.slot(name);
    // What the previous adapter's router added to a loss that nobody read does not belong to this one.
    if (next !== this.activeSlot) this.auxiliary.dispose();
    this.activeSlot = next;
  }

  /**
   * The variables of an adapter by their names in it; empty until the operation has its weights.
   *
   * @throws ConfigError if there is none of that name.
   */
  weightsOf(name: string): Map<string, tfl.LayerVariable> {
    return new Map(this.slot(name).weights);
  }

  /**
   * What an adapter has in common with its other sites, by the names that it gives; empty
   * until the operation has its weights.
   *
   * @throws ConfigError if there is none of that name.
   */
  sharedOf(name: string): ReadonlyMap<string, SharedPart> {
    return this.slot(name).parts;
  }

  /**
   * Gives weights that an adapter saves, and has in common with its other sites, other values.
   *
   * @param values Values of the whole weights, by name. They are kept, not copied.
   * @throws ConfigError if there is no adapter of that name, or a weight has another number of values.
   */
  useShared(name: string, values: ReadonlyMap<string, Float32Array>): void {
    const slot = this.slot(name);
    for (const [weight, whole] of values) slot.useShared(weight, whole);
  }

  /**
   * The config of an adapter with all defaults filled in.
   *
   * @throws ConfigError if there is none of that name.
   */
  configOf(name: string): AdapterConfig {
    return this.slot(name).adapter.getConfig();
  }

  /** Number of tokens that the active adapter puts before the output. */
  get virtualTokens(): number {
    return this.activeSlot?.adapter.virtualTokens ?? 0;
  }

  /**
   * An adapter itself, built.
   *
   * @throws ConfigError if there is none of that name.
   */
  adapterOf(name: string): Adapter {
    return this.slot(name).adapter;
  }

  /** Whether the active adapter can add to the training loss. */
  get hasLoss(): boolean {
    return this.activeSlot?.adapter.hasLoss === true;
  }

  /** Number of tasks that the active adapter's router knows; undefined if it does not read tasks. */
  get tasks(): number | undefined {
    return this.activeSlot?.adapter.tasks;
  }

  /** The loss of the active adapter's router since the last call, a scalar. */
  takeLoss(): tf.Scalar {
    return this.auxiliary.take();
  }

  /**
   * The operation's output with the active adapter, activation included; without one, the frozen output.
   *
   * @param x The operation's input.
   */
  apply(x: tf.Tensor, {training = false, mask, until}: CallOptions = {}): tf.Tensor {
    const scale = training && until === undefined ? (this.lossScale?.() ?? 1) : 0;
    return runSite(this.operation, this.activeSlot?.adapter ?? null, x, {
      label: this.label,
      training,
      withLoss: scale !== 0,
      mask,
      until,
      context: this.contextOf(training),
      observe: (routing, context) => {
        if (until !== undefined) return;
        this.usage?.add(routing, context, this.activeSlot!.name);
        if (scale === 0 || routing.loss === undefined) return;
        this.auxiliary.add(scale === 1 ? routing.loss : tf.mul(routing.loss, scale));
      },
    });
  }

  /**
   * The context of the batch. In training, it includes noise from the adapter's seed unless the batch sets
   * its own.
   */
  private contextOf(training: boolean): RouterContext | undefined {
    const context = this.context?.();
    const noise = training && context?.noise === undefined ? this.activeSlot?.noise : undefined;
    return noise === undefined ? context : {...context, noise};
  }

  private buildSlot(slot: AdapterSlot, scope: VariableScope): void {
    tf.tidy(() => slot.build(this.operation.dims, scope, this.operation.frozen));
  }

  private slot(name: string): AdapterSlot {
    const slot = this.slots.get(name);
    if (slot === undefined) {
      const known = this.names.map((known) => `'${known}'`).join(', ') || 'none';
      throw new ConfigError(`${this.label()} has no adapter '${name}'. Use one of: ${known}.`);
    }
    return slot;
  }
}
