import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe, isInstance, SHARED_CLASS} from '@tfjs-peft/kernels';
import {checkBoolean, checkCount, checkOptions, type RouterContext} from '@tfjs-peft/routers';
import {fetchStored, type SaveResult, store} from '../io/storage.js';
import type {StorageLocation} from '../io/storage-location.js';
import type {SiteUsage} from '../sites/usage.js';
import {beforeDispose} from '../tfjs/wrap-methods.js';
import type {AdaptedModel} from './adapted-model.js';
import {type LoadOptions, prepareLoad} from './load.js';
import {inTurnOf} from './model-lock.js';
import type {AnyPeft, SaveOptions, UpgradableModel} from './peft.js';
import type {PlannedSite} from './plan.js';
import {makeReport, type Report, trainedNow} from './report.js';
import {toStored} from './save.js';
import {upgrades} from './upgrades.js';

/** The Peft of a model. */
export function handleOf<M extends UpgradableModel>(model: M): PeftHandle<M> | undefined {
  return upgrades.get(model) as PeftHandle<M> | undefined;
}

/** The state of a model's upgrade, for its trainer. */
export function upgradeOf(model: UpgradableModel): AdaptedModel | undefined {
  return handleOf(model)?.state;
}

/**
 * The class of every {@link Peft}; each kind of model extends it. It is not public: callers see {@link
 * AnyPeft} and the interface of the kind.
 */
export class PeftHandle<M extends UpgradableModel, S extends AdaptedModel = AdaptedModel>
  implements AnyPeft<M>
{
  static readonly [SHARED_CLASS] = true;
  static readonly kind: string = 'Peft';

  private last: string | null = null;
  /** Why this object can no longer be used. */
  private ended: string | undefined;
  private release: (() => void) | undefined;

  /** @param state The model before its first upgrade. */
  constructor(
    readonly model: M,
    readonly state: S,
  ) {}

  /** Also true for objects of another copy of this package. */
  static [Symbol.hasInstance](value: unknown): value is AnyPeft {
    // biome-ignore lint/complexity/noThisInStatic: a subclass's instanceof asks for the subclass.
    return isInstance(this, value);
  }

  get names(): string[] {
    return [...this.live().adapters.keys()];
  }

  get active(): string | null {
    return this.live().active;
  }

  report(): Report {
    const state = this.live();
    const name = this.current();
    state.refresh();
    const selected = state.selected(name);
    const {sites} = state.adapters.get(name)!;
    const planned = [...sites].map(([path, config]): PlannedSite => {
      const {at} = selected.find(({info}) => info.name === path)!;
      return {at, dims: state.dimsAt(path), config};
    });
    return makeReport(
      state,
      name,
      selected,
      planned,
      name === state.active ? trainedNow(state, name) : undefined,
    );
  }

  trainableVariables(): tf.Variable[] {
    return this.live().trainableVariables();
  }

  enable(name: string = this.current()): void {
    const state = this.changing();
    this.check(name);
    state.enable(name);
    this.last = name;
  }

  disable(): void {
    this.changing().activate(null);
  }

  remove(name: string): void {
    const state = this.changing();
    this.check(name);
    const {active} = state;
    const left = this.names.filter((other) => other !== name);
    state.remove(name, active === name ? (left[0] ?? null) : active);
    if (this.last === name) this.last = state.active ?? left[0] ?? null;
  }

  detach(): void {
    this.changing().detach();
    this.end(`This upgrade of ${this.state.label} was detached. Call upgrade(model, …) again.`);
  }

  async save(to: StorageLocation, options: SaveOptions = {}): Promise<SaveResult> {
    return this.inTurn(async () => {
      const {state, name} = this.chosen('save', options);
      return store(to, await toStored(state, name));
    });
  }

  async load(from: StorageLocation, options: LoadOptions = {}): Promise<void> {
    return this.inTurn(() => this.loadNow(from, options));
  }

  async loadNow(from: StorageLocation, options: LoadOptions = {}): Promise<void> {
    this.changing();
    const given = checkOptions('load', options, ['name', 'ignoreBase', 'rename']);
    checkBoolean('load', 'ignoreBase', given.ignoreBase, false);
    const stored = await fetchStored(from);
    const commit = await prepareLoad(this.changing(), stored, given);
    this.changing();
    commit();
    this.begin(given.name ?? stored.file.name);
  }

  setContext(context: RouterContext | null): void {
    this.live().context.set(context);
  }

  get lossSites(): number {
    return this.live().lossSites;
  }

  scaleLosses(factor: number): void {
    this.live().lossScale.set(factor);
  }

  get lossFactor(): number {
    return this.live().lossScale.get();
  }

  get usageTracking(): {tasks: number} | null {
    const tasks = this.live().trackedTasks;
    return tasks === null ? null : {tasks};
  }

  trackUsage(options: {tasks?: number} = {}): void {
    const state = this.live();
    const {tasks} = checkOptions('trackUsage', options, ['tasks']);
    state.trackUsage(checkCount('trackUsage', 'tasks', tasks, {min: 0, fallback: 0}));
  }

  stopTrackingUsage(): void {
    this.live().trackUsage(null);
  }

  async usage({reset = false}: {reset?: boolean} = {}): Promise<SiteUsage[]> {
    const usage = await this.live().usage(reset);
    if (usage === null)
      throw new ConfigError(
        'usage: usage is not tracked. Call peft.trackUsage() before the batches to count.',
      );
    return usage;
  }

  /** Starts the upgrade of the model, with an adapter that has just become active. */
  begin(name: string): void {
    this.last = name;
    upgrades.set(this.model, this);
    const isLast = () => this.state.isLastHolder;
    this.release ??= beforeDispose(this.model, isLast, () => {
      this.state.merged?.exchanged.release();
      this.state.merged = undefined;
      this.changing().release();
      this.end(
        `${this.state.label[0]!.toUpperCase()}${this.state.label.slice(1)} is disposed. Load it again.`,
      );
    });
  }

  private end(why: string): void {
    this.ended = why;
    this.release?.();
    upgrades.delete(this.model);
  }

  /** @throws ConfigError if the upgrade has ended. */
  live(): S {
    if (this.ended !== undefined) throw new ConfigError(this.ended);
    this.state.checkAlive();
    return this.state;
  }

  /** @throws ConfigError if the adapters must not change now. All methods that change them ask here. */
  changing(): S {
    const state = this.live();
    state.checkIdle();
    checkUnmerged(state);
    state.refresh();
    return state;
  }

  /** Runs after earlier calls. If the upgrade ended meanwhile, the error says so. */
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    return inTurnOf(this.model, () => this.live(), run);
  }

  /** The adapter that a caller names, or the current one. */
  chosen(what: string, options: SaveOptions): {state: S; name: string} {
    const state = this.live();
    checkUnmerged(state);
    const {name = this.current()} = checkOptions(what, options, ['name']);
    this.check(name);
    state.refresh();
    return {state, name};
  }

  private current(): string {
    const name = this.live().active ?? this.last;
    if (name === null) throw new ConfigError('The model has no adapter. Call upgrade or load first.');
    return name;
  }

  private check(name: string): void {
    if (this.state.adapters.has(name)) return;
    const known = this.names.map((known) => `'${known}'`).join(', ') || 'none';
    throw new ConfigError(`The model has no adapter ${describe(name)}. Use one of: ${known}.`);
  }
}

/** @throws ConfigError if an adapter is merged into the base. */
function checkUnmerged({merged}: AdaptedModel): void {
  if (merged === undefined) return;
  throw new ConfigError(
    `Adapter '${merged.name}' is merged into the model. Call unmerge(peft) of '@tfjs-peft/layers/merge' first.`,
  );
}
