import type * as tf from '@tensorflow/tfjs-core';
import type {RouterContext} from '@tfjs-peft/routers';
import type {SaveResult} from '../io/storage.js';
import type {StorageLocation} from '../io/storage-location.js';
import type {SiteUsage} from '../sites/usage.js';
import type {LoadOptions} from './load.js';
import type {Report} from './report.js';

/**
 * The kinds of model that can be upgraded. Each kind registers itself by `registerKind` and augments this
 * interface with its model and with the members that only its Peft and its config have.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is filled by those who augment it.
export interface ModelKinds {}

/** A model that can be upgraded: a LayersModel or, if `@tfjs-peft/layers/graph` is imported, a GraphModel. */
export type UpgradableModel = ModelKinds[keyof ModelKinds]['model'];

/** The kind of a model; for a union of models, the union of their kinds. */
export type KindOf<M extends UpgradableModel> = M extends unknown
  ? {[K in keyof ModelKinds]: M extends ModelKinds[K]['model'] ? ModelKinds[K] : never}[keyof ModelKinds]
  : never;

/** Options of {@link AnyPeft.save}. */
export interface SaveOptions {
  /** Name of the adapter. Default: the active one, or the last active one. */
  name?: string;
}

/**
 * The adapters of one model of any kind. {@link upgrade} and {@link loadPeft} return it; {@link Peft} is the
 * type for one kind.
 *
 * At most one adapter is active. Whenever the set of trainable weights changes, a compiled model is compiled
 * again with its own loss and metrics and a fresh optimizer of the same class and settings. A method that
 * throws changes nothing.
 *
 * During training, the adapters cannot be changed: `enable`, `disable`, `remove`, `load`, `detach`, another
 * `upgrade` and the model's own `dispose` throw a ConfigError. Asynchronous calls (`upgrade`, `loadPeft`,
 * `load` and `save`) run one after the other, in the order of the calls. `model.dispose()` ends the upgrade
 * and disposes the adapters; every method then throws a ConfigError.
 */
export interface AnyPeft<M extends UpgradableModel = UpgradableModel> {
  /** The model that was upgraded. */
  readonly model: M;

  /** Names of the adapters, in the order in which they were added. */
  readonly names: string[];

  /** Name of the active adapter; null if none is active. */
  readonly active: string | null;

  /**
   * Lists which layers carry the active (else the last active) adapter and why, and how many parameters are
   * trained. `String(peft.report())` is a table.
   */
  report(): Report;

  /**
   * The variables that training changes now: those of the active adapter and of the layers that it trains in
   * full.
   */
  trainableVariables(): tf.Variable[];

  /**
   * Makes an adapter active.
   *
   * @param name Default: the last active one.
   * @throws ConfigError if no adapter has that name, or the model is being trained.
   */
  enable(name?: string): void;

  /**
   * Deactivates the active adapter: the outputs are then those of the base model, bit for bit. The optimizer
   * keeps its moments until another adapter is enabled.
   *
   * @throws ConfigError if the model is being trained.
   */
  disable(): void;

  /**
   * Removes an adapter and disposes its weights and its copies of layers trained in full. If it was active,
   * the first remaining adapter becomes active, as in PEFT; if none remains, the model computes its original
   * outputs.
   *
   * @throws ConfigError if no adapter has that name, or the model is being trained.
   */
  remove(name: string): void;

  /**
   * Restores the model: the same layer objects with the same tensors, trainable as before, and the original
   * optimizer if the model was compiled before the upgrade. All adapters and their copies of layers trained
   * in full are disposed, so save them first. This object cannot be used afterwards.
   *
   * @throws ConfigError if the model is being trained.
   */
  detach(): void;

  /**
   * Saves an adapter, the layers that it trains in full and the heads of its trainers, with names and hashes
   * of the frozen weights.
   *
   * @param to A folder, with or without `file://` (Node only), a URL that tfjs can save to, such as
   * `indexeddb://my-adapter`, or an IOHandler. A folder gets `adapter_model.safetensors`,
   * `adapter_config.json` and a `README.md`. Files of an earlier save are replaced; a README of your own is
   * kept.
   * @throws ConfigError if no adapter has that name, the location cannot be written, or the folder has an
   * adapter that another program saved; WeightMismatchError if a weight is NaN or infinite.
   */
  save(to: StorageLocation, options?: SaveOptions): Promise<SaveResult>;

  /**
   * Loads an adapter and makes it active. If the model has an adapter of that name, its weights are
   * overwritten; otherwise the adapter is made from the config in the file.
   *
   * @param from The location passed to {@link AnyPeft.save}: a folder (Node), the URL of such a folder,
   * another URL that tfjs can load from, or an IOHandler.
   * @throws SafetensorsError if the weights are malformed; ConfigError if the config is malformed or there is
   * no adapter; WeightMismatchError if weights are missing, extra or of another shape, or the file was saved
   * with other base weights (pass `ignoreBase` to load it anyway). The model is then unchanged.
   */
  load(from: StorageLocation, options?: LoadOptions): Promise<void>;

  /**
   * Sets further inputs of the routers for the next batches: `intuition`, `sentence` or `task`, with one row
   * per sample or one row for all; `mask`; `noise`. They are used until the next call; null removes them. The
   * tensors are copied. For a LayersModel whose inputs contain this information, `contextFrom` needs no call
   * per batch.
   *
   * @throws ConfigError if a key is unknown, a value is not a tensor, or the active adapter's routers do not
   * know a task's number. The context is then unchanged.
   */
  setContext(context: RouterContext | null): void;

  /** Number of sites of the active adapter whose router adds a loss in training. */
  readonly lossSites: number;

  /**
   * Sets the factor of all routers' losses, initially 1; with 0 they are not computed. In `fit`, {@link
   * balanceCallback} sets it by a schedule; in your own training loop, {@link balanceScale} gives the factor
   * of a step.
   *
   * @throws ConfigError unless `factor` is a finite number of at least 0.
   */
  scaleLosses(factor: number): void;

  /** The current factor of all routers' losses; see {@link AnyPeft.scaleLosses}. */
  readonly lossFactor: number;

  /** The options of {@link AnyPeft.trackUsage} while usage is tracked; else null. */
  readonly usageTracking: {tasks: number} | null;

  /**
   * Starts counting how the experts of every site are used, in training and prediction; {@link
   * stopTrackingUsage} ends it.
   *
   * @param options `tasks`: number of tasks to count separately, by the context's `task`. Default 0.
   * @throws ConfigError if `tasks` is not an integer of at least 0.
   */
  trackUsage(options?: {tasks?: number}): void;

  /** Stops counting usage and discards the counts. */
  stopTrackingUsage(): void;

  /**
   * The usage of the experts since {@link AnyPeft.trackUsage} or the last reset, for every site with a
   * router.
   *
   * @param options `reset`: whether to reset the counts after reading. Default false.
   * @throws ConfigError if usage is not tracked.
   */
  usage(options?: {reset?: boolean}): Promise<SiteUsage[]>;
}
