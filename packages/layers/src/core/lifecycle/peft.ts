import type {GraphModel} from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, describe, isInstance, SHARED_CLASS, shared} from '@tfjs-peft/kernels';
import {checkBoolean, checkCount, checkOptions, type RouterContext} from '@tfjs-peft/routers';
import {GraphState} from '../../graph-model/graph-state.js';
import {isGraphModel} from '../../graph-model/internals.js';
import {storeModel} from '../io/model-folder.js';
import type {Place} from '../io/place.js';
import {fetchStored, type SaveResult, store} from '../io/storage.js';
import type {SiteUsage} from '../sites/usage.js';
import type {PlannedSite, UpgradeConfig} from './plan.js';
import type {AdaptedModel} from './adapted-model.js';
import {beforeDispose} from './disposal.js';
import {inTurn} from './in-turn.js';
import {type LoadOptions, prepareLoad} from './load.js';
import {makeReport, type Report, trainedNow} from './report.js';
import {toStored} from './save.js';
import {ModelState} from '../../layers-model/state.js';

/** A model that can be upgraded. */
export type UpgradableModel = tfl.LayersModel | GraphModel;

/** The upgrade of each model that has one, whichever copy of this package made it. */
const upgrades = shared('layers.upgrades', () => new WeakMap<UpgradableModel, Peft<UpgradableModel>>());

/** A model before its first upgrade, whatever its kind. */
function stateOf(model: UpgradableModel): AdaptedModel {
  return isGraphModel(model) ? new GraphState(model) : new ModelState(model);
}

/** Options of {@link Peft.save}. */
export interface SaveOptions {
  /** Which adapter. Default: the active one, or the one that was active last. */
  name?: string;
}

/**
 * The adapters of one model: what they are, which of them is active, and the way back. {@link upgrade} and {@link loadPeft} make it.
 *
 * At most one adapter is active. A model that is compiled is compiled again, with its own loss and metrics and a fresh optimizer of
 * the same class and settings, whenever its set of trainable weights changes. No method changes anything if it throws.
 *
 * While the model is being trained, its adapters cannot be changed: {@link enable}, {@link disable}, {@link remove}, {@link load},
 * {@link detach}, another `upgrade` and the model's own `dispose` are refused. Calls that take time (`upgrade`, `loadPeft`, and what
 * loads and saves here) run one after the other, in the order in which they were made. `model.dispose()` ends the upgrade and disposes
 * all that belongs to it; every method then throws a ConfigError.
 */
export class Peft<M extends UpgradableModel = tfl.LayersModel> {
  static readonly [SHARED_CLASS] = true;
  static readonly kind: string = 'Peft';

  private readonly state: AdaptedModel;
  private last: string | null = null;
  /** Why this object is of no more use. */
  private ended: string | undefined;
  private release: (() => void) | undefined;

  private constructor(readonly model: M) {
    this.state = stateOf(model);
  }

  /** Holds for what another copy of this package made, too. */
  static [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: a subclass's instanceof asks for the subclass.
    return isInstance(this, value);
  }

  /** For {@link upgrade}. */
  static upgrade<M extends UpgradableModel>(model: M, config: UpgradeConfig): Promise<Peft<M>> {
    return inTurn(model, async () => {
      const peft = Peft.of(model);
      const state = peft.changing();
      const plan = state.plan(config);
      state.add(plan);
      peft.begin(plan.name);
      return peft;
    });
  }

  private static of<M extends UpgradableModel>(model: M): Peft<M> {
    return (upgrades.get(model) as Peft<M> | undefined) ?? new Peft(model);
  }

  /** For `inspect`: the state of a model's upgrade, or one that would be its first. */
  static stateOf(model: UpgradableModel): AdaptedModel {
    return upgrades.get(model)?.live() ?? stateOf(model);
  }

  /** For `trainer`: the state of a model's upgrade, if it has one. */
  static upgradeOf(model: UpgradableModel): AdaptedModel | undefined {
    return upgrades.get(model)?.state;
  }

  /** For {@link loadPeft}. */
  static load<M extends UpgradableModel>(model: M, from: Place, options?: LoadOptions): Promise<Peft<M>> {
    return inTurn(model, async () => {
      const peft = Peft.of(model);
      await peft.loadNow(from, options);
      return peft;
    });
  }

  /** Names of the adapters, in the order in which they came. */
  get names(): string[] {
    return [...this.live().adapters.keys()];
  }

  /** Name of the active adapter; null while disabled. */
  get active(): string | null {
    return this.live().active;
  }

  /**
   * What matched and what did not and why, and how much of the model is trained; for the active adapter, or the one that was active
   * last. `String(peft.report())` is a table.
   */
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

  /** The variables that training changes now: the active adapter's, and its own of layers that it trains in full. */
  trainableVariables(): tf.Variable[] {
    return this.live().trainableVariables();
  }

  /**
   * Makes an adapter active.
   *
   * @param name Default: the one that was active last.
   * @throws ConfigError if there is none of that name, or the model is being trained.
   */
  enable(name: string = this.current()): void {
    const state = this.changing();
    this.check(name);
    state.enable(name);
    this.last = name;
  }

  /**
   * Makes no adapter active, so that the outputs are the base model's bit for bit. An optimizer keeps its moments until another adapter
   * is enabled.
   *
   * @throws ConfigError if the model is being trained.
   */
  disable(): void {
    this.changing().activate(null);
  }

  /**
   * Removes an adapter, and disposes its weights and what was trained beside it. If it is active, the first of those that are left
   * becomes active, as in PEFT; if none is left, none is, and the model is as it was until another comes.
   *
   * @throws ConfigError if there is none of that name, or the model is being trained.
   */
  remove(name: string): void {
    const state = this.changing();
    this.check(name);
    const {active} = state;
    const left = this.names.filter((other) => other !== name);
    state.remove(name, active === name ? (left[0] ?? null) : active);
    if (this.last === name) this.last = state.active ?? left[0] ?? null;
  }

  /**
   * Brings the model back: the same layer objects with the same tensors, trainable as before, and, if it was compiled when the
   * upgrade began, with the optimizer of then. All adapters are disposed, with what was trained beside them, and this object refuses
   * further use. What is to be kept has to be saved before.
   *
   * @throws ConfigError if the model is being trained.
   */
  detach(): void {
    this.changing().detach();
    this.end(`This upgrade of ${this.state.label} was detached. Call upgrade(model, …) again.`);
  }

  /**
   * Stores an adapter, the layers that it trains in full and the heads of its trainers, with the names and hashes of the frozen weights.
   *
   * @param to A folder, with or without `file://` (Node only): it gets `adapter_model.safetensors`, `adapter_config.json` and a
   * `README.md`. Those of an earlier save are replaced; a README that is not one stays as it is. Or any
   * other URL that tfjs can save to, such as `indexeddb://my-adapter`, or an IOHandler.
   * @throws ConfigError if there is no such adapter, no way to save to that place, or the folder has an adapter that was not saved by this
   * package; WeightMismatchError if a weight is NaN or infinite.
   */
  async save(to: Place, options: SaveOptions = {}): Promise<SaveResult> {
    return this.inTurn(async () => {
      const {state, name} = this.chosen('save', options);
      return store(to, await toStored(state, name));
    });
  }

  /**
   * Stores a whole GraphModel with an adapter, as the converter stores models. `tf.loadGraphModel` loads it where this package is
   * imported; there it computes what this model does, adapters and routers included, and cannot be trained further: keep the
   * adapter's own files for that. (The model's own `save` goes on writing the base alone, and a LayersModel's its adapters too.)
   *
   * @param to A folder, with or without `file://` (Node only): it gets `model.json` and its weights. Or what the model's own `save`
   * takes.
   * @returns Paths of the files, where they went into a folder.
   * @throws ConfigError if there is no such adapter, no way to save to that place, the folder has a model that was not saved so, or the model
   * is a LayersModel.
   */
  async saveModel(to: Place, options: SaveOptions = {}): Promise<string[]> {
    return this.storeModel('saveModel', to, options, false);
  }

  /**
   * Stores a whole GraphModel with an adapter worked into its weights: a plain model that needs none of our packages, and costs no
   * more than the base. Weights of its sites are stored in float32, even if the base is quantised.
   *
   * @param to As for {@link saveModel}.
   * @throws UnsupportedSiteError if that is not exact at some site, as where gates depend on the input; and as {@link saveModel} does.
   */
  async merge(to: Place, options: SaveOptions = {}): Promise<string[]> {
    return this.storeModel('merge', to, options, true);
  }

  private async storeModel(
    what: string,
    to: Place,
    options: SaveOptions,
    merged: boolean,
  ): Promise<string[]> {
    return this.inTurn(async () => {
      const {state, name} = this.chosen(what, options);
      return storeModel(to, await state.modelArtifacts(name, merged));
    });
  }

  /**
   * Loads an adapter and makes it active. If the model has an adapter of that name, its weights are overwritten; if not, it is made
   * from the file's own config.
   *
   * @param from What {@link save} stored: a folder (Node), the URL of such a folder, another URL that tfjs can load from, or an
   * IOHandler.
   * @throws SafetensorsError if the weights are malformed; ConfigError if the config is, or there is nothing; WeightMismatchError if
   * weights are missing, extra or of another shape, or the file was saved with other base weights (then `ignoreBase` is the way
   * round). The model is then unchanged.
   */
  async load(from: Place, options: LoadOptions = {}): Promise<void> {
    return this.inTurn(() => this.loadNow(from, options));
  }

  private async loadNow(from: Place, options: LoadOptions = {}): Promise<void> {
    this.changing();
    const given = checkOptions('load', options, ['name', 'ignoreBase', 'rename']);
    checkBoolean('load', 'ignoreBase', given.ignoreBase, false);
    const stored = await fetchStored(from);
    const commit = await prepareLoad(this.changing(), stored, given);
    this.changing();
    commit();
    this.begin(given.name ?? stored.file.name);
  }

  /**
   * Sets what the next batches bring along for routers that look at more than a site's input: `intuition`, `sentence` or `task` with a
   * row for each sample, or one row for all; `mask`; `noise`. It holds until it is set again; null takes it away. The tensors are
   * copied. Where the model's own inputs say it, {@link contextFrom} needs no call per batch.
   *
   * @throws ConfigError if a key is unknown, a value no tensor, or a task's number none that the active adapter's routers know. The
   * context is then as before.
   */
  setContext(context: RouterContext | null): void {
    this.live().context.set(context);
  }

  /**
   * Computes the context from the inputs of one of the model's layers whenever that layer is called, in `predict` and `fit` alike, so
   * that those calls stay as they are: from token ids at an Embedding, say, or from a task number that is an input of its own.
   *
   * @param path Path of a layer that runs before the layers whose routers read the context, as {@link report} names layers; or of an
   * input of the model, then what counts is the first layer that it feeds.
   * @param compute Gets the layer's inputs, or the value of the input; the tensors that it returns are copied.
   * @throws ConfigError if there is no such layer, or no layer that runs is fed by that input.
   */
  contextFrom(path: string, compute: (inputs: tf.Tensor[]) => RouterContext): void {
    this.live().contextFrom(path, compute);
  }

  /** How many sites of the active adapter have a router that adds a loss of its own while training. */
  get lossSites(): number {
    return this.live().lossSites;
  }

  /**
   * Multiplies the losses of all routers by a factor from now on; with 0 they are not computed. It is 1 at first. In `fit`,
   * {@link balanceCallback} sets it by a schedule; in a loop of one's own, {@link balanceScale} gives the factor of a step.
   *
   * @throws ConfigError if it is no finite number of at least 0.
   */
  scaleLosses(factor: number): void {
    this.live().lossScale.set(factor);
  }

  /** What the losses of all routers are multiplied by now; see {@link scaleLosses}. */
  get lossFactor(): number {
    return this.live().lossScale.get();
  }

  /** How usage is counted now, as {@link trackUsage} takes it; false where it is not. */
  get usageTracking(): {tasks: number} | false {
    const tasks = this.live().trackedTasks;
    return tasks === null ? false : {tasks};
  }

  /**
   * Counts from now on how the experts of every site are used, in training and prediction; false ends it.
   *
   * @param options `tasks`: how many tasks to tell apart by the context's `task`. Default 0: none.
   * @throws ConfigError if tasks is not an integer >= 0.
   */
  trackUsage(options: {tasks?: number} | false = {}): void {
    const state = this.live();
    if (options === false) {
      state.trackUsage(null);
      return;
    }
    checkOptions('trackUsage', options, ['tasks']);
    state.trackUsage(checkCount('trackUsage', 'tasks', options.tasks, {min: 0, fallback: 0}));
  }

  /**
   * How experts were used since {@link trackUsage}, or the last reset, at the sites whose adapter routes.
   *
   * @param options `reset`: start anew after reading. Default false.
   * @throws ConfigError if usage is not tracked.
   */
  async usage({reset = false}: {reset?: boolean} = {}): Promise<SiteUsage[]> {
    const usage = await this.live().usage(reset);
    if (usage === null)
      throw new ConfigError('Usage is not tracked. Call trackUsage() before the batches to count.');
    return usage;
  }

  /** The upgrade counts from here on, with an adapter that has just become active. */
  private begin(name: string): void {
    this.last = name;
    upgrades.set(this.model, this);
    this.release ??= beforeDispose(this.model, () => {
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

  /** The model, if it is still under this upgrade. */
  private live(): AdaptedModel {
    if (this.ended !== undefined) throw new ConfigError(this.ended);
    this.state.checkAlive();
    return this.state;
  }

  /** The model, if its adapters may change now: the one place that says when they may not. */
  private changing(): AdaptedModel {
    const state = this.live();
    state.checkIdle();
    state.refresh();
    return state;
  }

  /** After the calls that came before; what fails because the upgrade has ended meanwhile says so. */
  private inTurn<T>(run: () => Promise<T>): Promise<T> {
    return inTurn(this.model, async () => {
      try {
        return await run();
      } catch (error) {
        this.live();
        throw error;
      }
    });
  }

  private chosen(what: string, options: SaveOptions): {state: AdaptedModel; name: string} {
    const state = this.live();
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
    throw new ConfigError(`The model has no adapter ${describe(name)}. It has: ${known}.`);
  }
}
