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

/** What a call of a site brings along. */
export interface CallOptions {
  /** Default false. */
  training?: boolean;
  /** The mask that tfjs-layers passes along; it counts where it has an entry for each row of what routers see. */
  mask?: unknown;
  /** Where to stop, without counting usage or losses. Default: at the site's output. */
  until?: SiteStage | undefined;
}

/**
 * The adapters of one frozen operation: any number of named ones, at most one of them active. It knows neither a layer nor a graph
 * node; who owns it lists its variables where they are looked for.
 */
export class AdaptedSite {
  /** Asked at every call for what the batch brings along; see {@link AnyPeft.setContext}. */
  context?: () => RouterContext | undefined;
  /** Asked at every training call for what the losses of routers are multiplied by; with 0 they are not computed. Default: 1. */
  lossScale?: () => number;
  /** Counts what the active adapter's router decides; see {@link AnyPeft.trackUsage}. */
  usage?: UsageRecorder;
  private readonly slots = new Map<string, AdapterSlot>();
  private readonly auxiliary = new AuxiliaryLoss();
  private activeSlot: AdapterSlot | null = null;
  private prefix: string | undefined;

  /** @param label What errors call the site, such as `Layer 'dense_1'`. */
  constructor(
    private readonly operation: Operation,
    private readonly label: () => string,
  ) {}

  /**
   * Says that the operation has its weights now: adapters that came before get theirs.
   *
   * @param scope Where the variables' names begin.
   * @throws UnsupportedSiteError if one of them cannot act here.
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

  /** The variables of all adapters. */
  get weights(): tfl.LayerVariable[] {
    return [...this.slots.values()].flatMap((slot) => [...slot.weights.values()]);
  }

  /** The variables that training changes: the active adapter's, save what it keeps fixed. */
  get trainable(): tfl.LayerVariable[] {
    return this.activeSlot?.trainable ?? [];
  }

  /** All adapters as they are to be saved. */
  get records(): {adapter: string; active: boolean; config: AdapterConfig; shared: SharedShape[]}[] {
    return [...this.slots.values()].map((slot) => ({
      adapter: slot.name,
      active: slot === this.activeSlot,
      config: slot.adapter.getConfig(),
      shared: slot.shared,
    }));
  }

  /**
   * Adds an adapter, without making it active. If the operation has no weights yet, the adapter's come with them.
   *
   * @param name Any text that is not empty.
   * @param seed Seed of the random initial values: the same seed gives the same values on every backend. Without one they differ
   * every time. Sites of one model need seeds of their own; see `deriveSeed`.
   * @param shared Shapes of the weights that it has in common with other sites. Default: those of this site alone.
   * @throws DuplicateNameError if there is one of that name; ConfigError if the config is not good; UnsupportedSiteError if such an
   * adapter cannot act here. The site is then unchanged.
   */
  add(name: string, config: AdapterConfig, seed?: number, shared?: readonly SharedShape[]): void {
    if (typeof name !== 'string' || name === '') {
      throw new ConfigError(`${this.label()}: an adapter's name must be a text that is not empty.`);
    }
    if (this.slots.has(name)) {
      throw new DuplicateNameError(
        `${this.label()} has an adapter '${name}' already. Choose another name, or remove that one first.`,
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
   * Removes an adapter and disposes its weights; if it was active, none is then.
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
    // What the other's router added to a loss that nobody has asked for is no part of this one's.
    if (next !== this.activeSlot) this.auxiliary.dispose();
    this.activeSlot = next;
  }

  /**
   * The variables of an adapter by the names that it gives them; empty until the operation has its weights.
   *
   * @throws ConfigError if there is none of that name.
   */
  weightsOf(name: string): Map<string, tfl.LayerVariable> {
    return new Map(this.slot(name).weights);
  }

  /**
   * What an adapter has in common with its other sites, by the names that it gives; empty until the operation has its weights.
   *
   * @throws ConfigError if there is none of that name.
   */
  sharedOf(name: string): ReadonlyMap<string, SharedPart> {
    return this.slot(name).parts;
  }

  /**
   * The config of an adapter with all defaults filled in.
   *
   * @throws ConfigError if there is none of that name.
   */
  configOf(name: string): AdapterConfig {
    return this.slot(name).adapter.getConfig();
  }

  /** How many tokens the active adapter puts before the output's own. */
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

  /** Whether the active adapter may add to the training loss. */
  get hasLoss(): boolean {
    return this.activeSlot?.adapter.hasLoss === true;
  }

  /** How many tasks the active adapter's router knows; undefined if it does not look at them. */
  get tasks(): number | undefined {
    return this.activeSlot?.adapter.tasks;
  }

  /** What the active adapter's router added to the loss since the last time, a scalar. */
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

  /** What the batch brings along; while training with noise that the adapter's seed covers, unless the batch brings its own. */
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
      throw new ConfigError(`${this.label()} has no adapter '${name}'. It has: ${known}.`);
    }
    return slot;
  }
}
