import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {checkBoolean, checkOptions, type Weight} from '@tfjs-peft/routers';
import {sizeOf} from '../core/adapters/count.js';
import {listProblems, type StoredFile, sameShape, weightKey} from '../core/io/adapter-file.js';
import {digest, fetchStored, type SaveResult, store} from '../core/io/storage.js';
import type {StorageLocation} from '../core/io/storage-location.js';
import {checkBase} from '../core/lifecycle/base-check.js';
import {inTurnOf} from '../core/lifecycle/model-lock.js';
import {type Beside, type SideHost, type SidePlaces, setBeside} from '../core/lifecycle/side-host.js';
import {TapCache} from '../core/lifecycle/tap-cache.js';
import {baseWeights} from '../core/lifecycle/weights.js';
import {offTape} from '../core/tfjs/off-tape.js';
import {beforeDispose} from '../core/tfjs/wrap-methods.js';
import type {FullSideConfig, SideNetworkConfig} from './config.js';
import {fileConfig, SITE} from './file.js';
import {SideNetwork} from './network.js';
import {readMask} from './tokens.js';
import {declaredBy, seedsFrom, sideValues} from './weights.js';

/** The part of a side network that layer norms of the base are. */
const NORMS = 'norms';

/** A part of a side network in a {@link SideReport}. */
export interface SidePart {
  /** Such as `block1`, `down0` or `up`; `norms` are layer norms of the base. */
  name: string;
  /** Number of its parameters, all of which are trained. */
  trainable: number;
}

/** What a side network adds to a model. */
export interface SideReport {
  taps: string[];
  /** All options of the network, with their defaults. */
  config: FullSideConfig;
  parts: SidePart[];
  /** Number of trained parameters: the network's, and those of layer norms with `trainNorms`. */
  trainable: number;
  /** Number of parameters of the model. */
  base: number;
  /** Number of parameters of the model and the network; layer norms count once. */
  total: number;
  /** trainable / total. */
  share: number;
  /**
   * Bytes that the last training step held of the base in front of the last tap: the taps, and with
   * `trainNorms` what gradients through the base need. Null before the first step.
   */
  heldBytes: number | null;
  /** What is kept of the base with `cacheBytes`: of how many samples, and in how many bytes; null without. */
  cache: {samples: number; bytes: number; limit: number} | null;
  /** The report as text. */
  toString(): string;
}

export interface Disposable {
  dispose(): unknown;
}

/**
 * A model's side network; `attachSideNetwork` and `loadSideNetwork` give it.
 *
 * @example
 * ```ts compiled: it takes a model that has one
 * import type {LayersModel} from '@tensorflow/tfjs';
 * import type {SidePeft} from '@tfjs-peft/layers/side';
 *
 * async function finish(side: SidePeft<LayersModel>) {
 *   console.log(String(side.report()));
 *   await side.save('out/my-side-network');
 *   side.remove(); // the model is as it was
 * }
 * ```
 */
export interface SidePeft<M extends Disposable = tfl.LayersModel> {
  readonly model: M;
  /** Whether the network runs; if not, the model computes what it did before. */
  readonly enabled: boolean;
  /** The variables that training changes: the network's own, and those of layer norms with `trainNorms`. */
  trainableVariables(): tf.Variable[];
  /** Lets the network run again. */
  enable(): void;
  /** Lets the model compute what it did before; the network stays. */
  disable(): void;
  /** Brings the model back to what it was before, and disposes the network. */
  remove(): void;
  /** The network's parts and what they train. */
  report(): SideReport;
  /**
   * Saves the network: `adapter_model.safetensors`, `adapter_config.json` and a README, as `save` of a Peft
   * does.
   *
   * @param to A folder (Node only), or any place that tfjs saves to.
   * @throws ConfigError if the place cannot be written; WeightMismatchError if a weight is not finite.
   */
  save(to: StorageLocation): Promise<SaveResult>;
  /**
   * Loads weights that {@link SidePeft.save} wrote into this network.
   *
   * @param options `ignoreBase`: load them even if they were saved beside other base weights. Default false.
   * @throws WeightMismatchError if the file is not of a network with these taps and options, or of another
   * base. The network is then unchanged.
   */
  load(from: StorageLocation, options?: {ignoreBase?: boolean}): Promise<void>;
}

/** What is known of a network besides its config. */
interface AttachOptions {
  seed?: number | undefined;
  cacheBytes: number;
  /** Weights of a file, which are going to be read. */
  stored?: StoredFile['weights'] | undefined;
}

/** The class of every {@link SidePeft}. It is not public: callers see the interface. */
export class SideHandle<M extends Disposable> implements SidePeft<M>, Beside {
  private ended: string | undefined;
  private paused = false;
  private isEnabled = true;
  private release: (() => void) | undefined;

  private constructor(
    readonly model: M,
    private readonly host: SideHost,
    private readonly places: SidePlaces,
    private readonly network: SideNetwork,
    private readonly variables: ReadonlyMap<string, tfl.LayerVariable>,
    private readonly cache: TapCache | undefined,
  ) {}

  /** For `attachSideNetwork`, which has checked what it passes. */
  static attach<M extends Disposable>(
    model: M,
    host: SideHost,
    places: SidePlaces,
    config: SideNetworkConfig,
    {seed, cacheBytes, stored}: AttachOptions,
  ): SideHandle<M> {
    const network = new SideNetwork(config, host.dims);
    const weights = declaredBy((add) => network.build(add));
    const norms = places.trainNorms ? host.norms : [];
    if (stored !== undefined) {
      const trained = norms.map(({name, read}) => ({name: `${NORMS}/${name}`, shape: read().shape}));
      checkWeights(stored, [...weights, ...trained]);
    }
    const variables = new Map<string, tfl.LayerVariable>();
    const seedOf = seedsFrom(seed);
    const cache = cacheBytes > 0 ? new TapCache(cacheBytes) : undefined;
    try {
      for (const {name, shape, init} of weights) {
        // What is in a file is about to be read.
        const value = stored
          ? tf.zeros(shape)
          : tf.tensor(sideValues(init, shape, seedOf(name)), shape, 'float32');
        variables.set(name, new tfl.LayerVariable(value, 'float32', `${SITE}/${name}`));
        value.dispose();
      }
      const trained = new Map(
        norms.map(({name, read}) => {
          const variable = new tfl.LayerVariable(read(), 'float32', `${SITE}/${NORMS}/${name}`);
          variables.set(`${NORMS}/${name}`, variable);
          return [name, variable];
        }),
      );
      network.build((name): Weight => variables.get(name)!);
      host.attach({
        apply: (taps, mask) => {
          const real = mask && offTape(() => readMask(mask, taps.at(-1)!.shape));
          return network.apply(taps, real, !places.trainNorms);
        },
        variables: weights.map(({name}) => variables.get(name)!),
        norms: trained,
        cache,
      });
    } catch (error) {
      for (const variable of variables.values()) variable.dispose();
      throw error;
    }
    const side = new SideHandle(model, host, places, network, variables, cache);
    setBeside(model, side);
    side.release = beforeDispose(
      model,
      () => host.isLastHolder,
      () => {
        side.changing().release();
        side.end('The model is disposed. Load it again.');
      },
    );
    return side;
  }

  get enabled(): boolean {
    this.live();
    return this.isEnabled;
  }

  trainableVariables(): tf.Variable[] {
    this.live();
    return [...this.variables.values()].map((variable) => variable.read() as tf.Variable);
  }

  enable(): void {
    this.changing().enable(true);
    this.isEnabled = true;
  }

  disable(): void {
    this.changing().enable(false);
    this.isEnabled = false;
  }

  remove(): void {
    this.changing().detach();
    this.end('This side network was removed. Call attachSideNetwork(model, …) again.');
  }

  pause(): () => void {
    const resume = this.changing().pause();
    this.paused = true;
    return () => {
      this.paused = false;
      resume();
    };
  }

  /** Not in the public type; for callers without types. */
  contextFrom(): never {
    return this.setContext();
  }

  /** Not in the public type; for callers without types. */
  setContext(): never {
    this.live();
    throw new ConfigError(
      'A side network has no context: its routers read its own tokens and the taps. Leave setContext and ' +
        'contextFrom out.',
    );
  }

  report(): SideReport {
    const host = this.live();
    const counts = new Map<string, number>();
    for (const [name, {shape}] of this.variables) {
      const part = name.includes('/') ? name.slice(0, name.indexOf('/')) : name.replace(/_\w$/, '');
      counts.set(part, (counts.get(part) ?? 0) + sizeOf(shape as number[]));
    }
    const parts = [...counts].map(([name, trainable]) => ({name, trainable}));
    const trainable = parts.reduce((sum, part) => sum + part.trainable, 0);
    const base = host.parameters;
    const total = base + trainable - (counts.get(NORMS) ?? 0);
    const {config} = this.network;
    const taps = [...this.places.taps];
    const {cache} = this;
    return {
      taps,
      config,
      parts,
      trainable,
      base,
      total,
      share: trainable / total,
      heldBytes: host.heldBytes,
      cache: cache === undefined ? null : {samples: cache.samples, bytes: cache.bytes, limit: cache.limit},
      toString: () =>
        [
          `Side network of width ${config.width} at ${taps.join(', ')}:`,
          ...parts.map((part) => `  ${part.name.padEnd(8)}  ${part.trainable.toLocaleString('en-US')}`),
          `${trainable.toLocaleString('en-US')} of ${total.toLocaleString('en-US')} parameters are trained ` +
            `(${((100 * trainable) / total).toFixed(2)} %).`,
          ...(host.heldBytes === null
            ? []
            : [`The last training step held ${host.heldBytes.toLocaleString('en-US')} bytes of the base.`]),
        ].join('\n'),
    };
  }

  async save(to: StorageLocation): Promise<SaveResult> {
    return this.inTurn(async () => {
      const host = this.live();
      // All reads start at once, before anything can change the weights.
      const reads = [...this.variables].map(async ([name, variable]) => {
        const values = Float32Array.from((await variable.read().data()) as Float32Array);
        return [weightKey(SITE, name), {shape: variable.shape as number[], values}] as const;
      });
      const weights = new Map(await Promise.all(reads));
      const {widths} = this.network;
      return store(
        to,
        {
          weights,
          file: {
            format: 'tfjs-peft',
            schema: 1,
            name: SITE,
            adapter: fileConfig(this.places, this.network.config),
            overrides: [],
            sites: [{name: SITE, kind: SITE, shape: [widths[0]!, widths.at(-1)!], weights: this.shapes}],
            trained: [],
            base: await baseWeights(host, []),
            weightsSha256: await digest(weights),
          },
        },
        LOADING,
      );
    });
  }

  async load(from: StorageLocation, options: {ignoreBase?: boolean} = {}): Promise<void> {
    return this.inTurn(async () => {
      this.changing();
      const given = checkOptions('load', options, ['ignoreBase']);
      const ignores = checkBoolean('load', 'ignoreBase', given.ignoreBase, false);
      await this.read(await fetchStored(from), ignores);
    });
  }

  /** Takes what `load` and `loadSideNetwork` have fetched. */
  async read({file, weights}: StoredFile, ignoreBase: boolean): Promise<void> {
    const [theirs, ours] = [file.adapter, fileConfig(this.places, this.network.config)].map((config) =>
      JSON.stringify(config),
    );
    if (theirs !== ours) {
      throw new WeightMismatchError(
        `The file holds ${theirs}, but the side network is ${ours}. Load it with loadSideNetwork instead.`,
      );
    }
    checkWeights(weights, this.shapes);
    if (!ignoreBase) await checkBase(this.live(), file);
    this.changing();
    tf.tidy(() => {
      for (const [name, variable] of this.variables) {
        const {shape, values} = weights.get(weightKey(SITE, name))!;
        variable.write(tf.tensor(values, shape, 'float32'));
      }
    });
  }

  private get shapes(): {name: string; shape: number[]}[] {
    return [...this.variables].map(([name, {shape}]) => ({name, shape: [...shape] as number[]}));
  }

  private end(why: string): void {
    this.ended = why;
    this.release?.();
    setBeside(this.model, undefined);
    for (const variable of this.variables.values()) variable.dispose();
    this.cache?.clear();
  }

  /** @throws ConfigError if the network was removed, or its model disposed. */
  private live(): SideHost {
    if (this.ended !== undefined) throw new ConfigError(this.ended);
    this.host.checkAlive();
    return this.host;
  }

  private changing(): SideHost {
    const host = this.live();
    if (this.paused)
      throw new ConfigError('The base of the side network is being quantised. Wait for that to end.');
    host.checkIdle();
    return host;
  }

  private inTurn<T>(run: () => Promise<T>): Promise<T> {
    return inTurnOf(this.model, () => this.live(), run);
  }
}

/** @throws WeightMismatchError if a file has not the weights that a network has. */
function checkWeights(
  weights: StoredFile['weights'],
  shapes: readonly {name: string; shape: readonly number[]}[],
): void {
  const problems = shapes.flatMap(({name, shape}) => {
    const found = weights.get(weightKey(SITE, name));
    if (found === undefined) return [`'${name}' is missing in the file`];
    return sameShape(found.shape, shape)
      ? []
      : [`'${name}' is [${shape}] in the network, but [${found.shape}] in the file`];
  });
  if (weights.size > shapes.length) problems.push('the file has weights that the network has not');
  if (problems.length > 0) {
    throw new WeightMismatchError(
      `The file does not fit the model: ${listProblems(problems)}. Load it beside the model that it was ` +
        'trained with.',
    );
  }
}

/** How one loads what {@link SidePeft.save} wrote. */
const LOADING = {load: 'loadSideNetwork', entry: '@tfjs-peft/layers/side'};
