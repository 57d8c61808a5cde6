import type * as tf from '@tensorflow/tfjs-core';
import type {RouterContext} from '@tfjs-peft/routers';
import type {SaveResult} from '../io/storage.js';
import type {StorageLocation} from '../io/storage-location.js';
import type {SiteUsage} from '../sites/usage.js';
import type {LoadOptions} from './load.js';
import type {Report} from './report.js';

/**
 * The kinds of model that can be upgraded. Each adds itself, by augmenting this interface and by `registerKind`: its model, and what only
 * a Peft and an upgrade of that kind have.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is filled by those who augment it.
export interface ModelKinds {}

type Kind = ModelKinds[keyof ModelKinds];

/** A model that can be upgraded: a LayersModel and, where `@tfjs-peft/layers/graph` is imported, a GraphModel. */
export type UpgradableModel = Kind['model'];

/** The kind of a model; of several models, their kinds. */
export type KindOf<M extends UpgradableModel> = M extends unknown
  ? {[K in keyof ModelKinds]: M extends ModelKinds[K]['model'] ? ModelKinds[K] : never}[keyof ModelKinds]
  : never;

/** Options of {@link AnyPeft.save}. */
export interface SaveOptions {
  /** Which adapter. Default: the active one, or the one that was active last. */
  name?: string;
}

/**
 * The adapters of one model, whatever its kind: what they are, which of them is active, and the way back. {@link upgrade} and
 * {@link loadPeft} make it; {@link Peft} is that of one kind.
 *
 * At most one adapter is active. A model that is compiled is compiled again, with its own loss and metrics and a fresh optimizer of
 * the same class and settings, whenever its set of trainable weights changes. No method changes anything if it throws.
 *
 * While the model is being trained, its adapters cannot be changed: `enable`, `disable`, `remove`, `load`, `detach`, another `upgrade`
 * and the model's own `dispose` are refused. Calls that take time (`upgrade`, `loadPeft`, and what loads and saves here) run one after
 * the other, in the order in which they were made. `model.dispose()` ends the upgrade and disposes all that belongs to it; every method
 * then throws a ConfigError.
 */
export interface AnyPeft<M extends UpgradableModel = UpgradableModel> {
  /** The model that was upgraded. */
  readonly model: M;

  /** Names of the adapters, in the order in which they came. */
  readonly names: string[];

  /** Name of the active adapter; null while disabled. */
  readonly active: string | null;

  /**
   * What matched and what did not and why, and how much of the model is trained; for the active adapter, or the one that was active
   * last. `String(peft.report())` is a table.
   */
  report(): Report;

  /** The variables that training changes now: the active adapter's, and its own of layers that it trains in full. */
  trainableVariables(): tf.Variable[];

  /**
   * Makes an adapter active.
   *
   * @param name Default: the one that was active last.
   * @throws ConfigError if there is none of that name, or the model is being trained.
   */
  enable(name?: string): void;

  /**
   * Makes no adapter active, so that the outputs are the base model's bit for bit. An optimizer keeps its moments until another adapter
   * is enabled.
   *
   * @throws ConfigError if the model is being trained.
   */
  disable(): void;

  /**
   * Removes an adapter, and disposes its weights and what was trained beside it. If it is active, the first of those that are left
   * becomes active, as in PEFT; if none is left, none is, and the model is as it was until another comes.
   *
   * @throws ConfigError if there is none of that name, or the model is being trained.
   */
  remove(name: string): void;

  /**
   * Brings the model back: the same layer objects with the same tensors, trainable as before, and, if it was compiled when the
   * upgrade began, with the optimizer of then. All adapters are disposed, with what was trained beside them, and this object refuses
   * further use. What is to be kept has to be saved before.
   *
   * @throws ConfigError if the model is being trained.
   */
  detach(): void;

  /**
   * Stores an adapter, the layers that it trains in full and the heads of its trainers, with the names and hashes of the frozen weights.
   *
   * @param to A folder, with or without `file://` (Node only): it gets `adapter_model.safetensors`, `adapter_config.json` and a
   * `README.md`. Those of an earlier save are replaced; a README that is not one stays as it is. Or any
   * other URL that tfjs can save to, such as `indexeddb://my-adapter`, or an IOHandler.
   * @throws ConfigError if there is no such adapter, no way to save to that place, or the folder has an adapter that was not saved by this
   * package; WeightMismatchError if a weight is NaN or infinite.
   */
  save(to: StorageLocation, options?: SaveOptions): Promise<SaveResult>;

  /**
   * Loads an adapter and makes it active. If the model has an adapter of that name, its weights are overwritten; if not, it is made
   * from the file's own config.
   *
   * @param from What {@link AnyPeft.save} stored: a folder (Node), the URL of such a folder, another URL that tfjs can load from, or an
   * IOHandler.
   * @throws SafetensorsError if the weights are malformed; ConfigError if the config is, or there is nothing; WeightMismatchError if
   * weights are missing, extra or of another shape, or the file was saved with other base weights (then `ignoreBase` is the way
   * round). The model is then unchanged.
   */
  load(from: StorageLocation, options?: LoadOptions): Promise<void>;

  /**
   * Sets what the next batches bring along for routers that look at more than a site's input: `intuition`, `sentence` or `task` with a
   * row for each sample, or one row for all; `mask`; `noise`. It holds until it is set again; null takes it away. The tensors are
   * copied. Where the inputs of a LayersModel say it, its `contextFrom`
   * needs no call per batch.
   *
   * @throws ConfigError if a key is unknown, a value no tensor, or a task's number none that the active adapter's routers know. The
   * context is then as before.
   */
  setContext(context: RouterContext | null): void;

  /** How many sites of the active adapter have a router that adds a loss of its own while training. */
  readonly lossSites: number;

  /**
   * Multiplies the losses of all routers by a factor from now on; with 0 they are not computed. It is 1 at first. In `fit`,
   * {@link balanceCallback} sets it by a schedule; in a loop of one's own, {@link balanceScale} gives the factor of a step.
   *
   * @throws ConfigError if it is no finite number of at least 0.
   */
  scaleLosses(factor: number): void;

  /** What the losses of all routers are multiplied by now; see {@link AnyPeft.scaleLosses}. */
  readonly lossFactor: number;

  /** How usage is counted now, as {@link AnyPeft.trackUsage} was told; null where it is not. */
  readonly usageTracking: {tasks: number} | null;

  /**
   * Counts from now on how the experts of every site are used, in training and prediction; {@link stopTrackingUsage} ends it.
   *
   * @param options `tasks`: how many tasks to tell apart by the context's `task`. Default 0: none.
   * @throws ConfigError if tasks is not an integer >= 0.
   */
  trackUsage(options?: {tasks?: number}): void;

  /** Counts usage no longer, and forgets what was counted. */
  stopTrackingUsage(): void;

  /**
   * How experts were used since {@link AnyPeft.trackUsage}, or the last reset, at the sites whose adapter routes.
   *
   * @param options `reset`: start anew after reading. Default false.
   * @throws ConfigError if usage is not tracked.
   */
  usage(options?: {reset?: boolean}): Promise<SiteUsage[]>;
}
