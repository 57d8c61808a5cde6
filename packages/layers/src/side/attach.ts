import type {GraphModel} from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, describe, plainCopy, WeightMismatchError} from '@tfjs-peft/kernels';
import {checkBoolean, checkOptions} from '@tfjs-peft/routers';
import type {StoredFile} from '../core/io/adapter-file.js';
import {fetchStored} from '../core/io/storage.js';
import type {StorageLocation} from '../core/io/storage-location.js';
import {looksLikeGraphModel} from '../core/lifecycle/kinds.js';
import {inTurn} from '../core/lifecycle/model-lock.js';
import {checkAlone, type SideHost, type SidePlaces, sideHostMaker} from '../core/lifecycle/side-host.js';
import {upgrades} from '../core/lifecycle/upgrades.js';
import {isContainer, type Layer} from '../core/tfjs/internals.js';
import {SIDE_OPTIONS, type SideNetworkConfig} from './config.js';
import {configOf, SIDE_TYPE} from './file.js';
import {LayersHost} from './layers-model/host.js';
import {SideHandle, type SidePeft} from './peft.js';

/** Config of {@link attachSideNetwork}. */
export interface SideConfig extends SideNetworkConfig {
  /**
   * Names of layers of a LayersModel, or of nodes of a GraphModel, in the order of the model: the outputs
   * that the side network reads, [B, T, d], [B, d] or maps [B, ..., d]. With `init: 'embedding'` the first is
   * the embedding's output. The network's output is added to the last, in front of whatever reads that.
   */
  taps: readonly string[];
  /**
   * Name of an input, layer or node that gives a value for each token, [B, T], of which 0 is padding, such as
   * the token ids. Default: the mask that tfjs-layers passes on, if it passes on one.
   */
  mask?: string;
  /**
   * Trains the gain and shift of every layer norm of the base too, as MP-ISMoE's tables have it. Gradients
   * then go through the base from its first layer norm on, and what they need is held: `report().heldBytes`
   * says how much. LayersModels: LayerNormalization layers; GraphModels: norms that are recognised by what
   * their nodes compute. The base's own values come back with `disable` and `remove`; the trained ones are
   * saved with the network. Import `@tfjs-peft/kernels/gradients` too. Default false: all norms are frozen.
   */
  trainNorms?: boolean;
  /** Seed of the initial weights. Default: other weights each time. */
  seed?: number;
  /**
   * Bytes of what the base gives that are kept while the network is trained, so that the base runs once for
   * each sample and not once an epoch. A sample is known by the bytes of its inputs; what comes when the room
   * is used up is computed each time. What the base gives for a sample must depend on that sample alone.
   * Default 0: nothing is kept.
   */
  cacheBytes?: number;
}

/** Options for GraphModels only. */
export interface GraphSideConfig extends SideConfig {
  /**
   * Inputs for one run of the model, by which the taps' channels are known. Default: zeros of the shapes that
   * the model's signature gives, a single sample with a single token.
   */
  example?: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;
}

/** The models that {@link attachSideNetwork} takes. */
export type SideModel = tfl.LayersModel | GraphModel;

const OPTIONS = ['taps', 'mask', 'trainNorms', 'seed', 'cacheBytes', 'example', ...SIDE_OPTIONS] as const;

/**
 * Puts a side network beside a model, in place: small blocks that read what layers of the frozen model give,
 * and whose output is added to the last of these (MP-ISMoE, arXiv 2605.04058, Figure 1). The model stays your
 * own object. Training enters the side network and what is behind the last tap, never what is in front: that
 * runs off the gradient tape, in inference mode, and nothing of it is kept for a gradient. At the start the
 * outputs are the model's own.
 *
 * LayersModel: `fit` trains the network. All layers are frozen; a compiled model is compiled again for the
 * network's weights. `save`, `getWeights` and `summary` are the base's alone: save the network with `save` of
 * what this returns. Layers of nested models cannot be tapped, a nested model can.
 *
 * GraphModel (import `@tfjs-peft/layers/graph` too): a `trainer` trains it.
 *
 * @param model A LayersModel or a loaded GraphModel that has no adapter and no side network.
 * @throws ConfigError if an option is unknown or out of range, or a tap is not in the model or cannot be one;
 * it lists what there is. The model is then unchanged.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {attachSideNetwork} from '@tfjs-peft/layers/side';
 *
 * const layers = ['a', 'b', 'c'].map((name) => tf.layers.dense({name, units: 16, activation: 'relu'}));
 * const model = tf.sequential({
 *   layers: [tf.layers.inputLayer({inputShape: [8]}), ...layers, tf.layers.dense({units: 2})],
 * });
 * const side = await attachSideNetwork(model, {taps: ['a', 'b', 'c'], reduction: 4, seed: 1});
 * model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
 * await model.fit(tf.ones([4, 8]), tf.ones([4, 2]), {verbose: 0});
 * side.disable(); // the base model's own outputs
 * ```
 */
export async function attachSideNetwork(
  model: tfl.LayersModel,
  config: SideConfig,
): Promise<SidePeft<tfl.LayersModel>>;
export async function attachSideNetwork(
  model: GraphModel,
  config: GraphSideConfig,
): Promise<SidePeft<GraphModel>>;
export async function attachSideNetwork<M extends SideModel>(
  model: M,
  config: GraphSideConfig,
): Promise<SidePeft<M>> {
  return inTurn(model, () => attach(model, config));
}

async function attach<M extends SideModel>(
  model: M,
  config: GraphSideConfig,
  stored?: StoredFile['weights'],
): Promise<SideHandle<M>> {
  const {
    taps,
    mask,
    trainNorms,
    seed,
    cacheBytes = 0,
    example,
    ...network
  } = checkOptions('attachSideNetwork', config, OPTIONS);
  const what = 'attachSideNetwork';
  if (!Array.isArray(taps) || taps.length === 0 || !taps.every((tap) => typeof tap === 'string')) {
    throw new ConfigError(
      `${what}: taps is ${describe(taps)}, but must be a list of names of layers or nodes, such as ` +
        "['embedding', 'block_1', 'block_2'].",
    );
  }
  if (seed !== undefined && !Number.isSafeInteger(seed))
    throw new ConfigError(`${what}: seed is ${describe(seed)}. Set seed to a whole number.`);
  const norms = checkBoolean(what, 'trainNorms', trainNorms, false);
  if (!(Number.isSafeInteger(cacheBytes) && cacheBytes >= 0)) {
    throw new ConfigError(
      `${what}: cacheBytes is ${describe(cacheBytes)}. Set cacheBytes to a whole number of bytes, such as 64e6.`,
    );
  }
  if (norms && cacheBytes > 0) {
    throw new ConfigError(
      `${what}: with trainNorms what the base gives changes at every step, and nothing of it can be kept. ` +
        'Leave cacheBytes or trainNorms out.',
    );
  }
  const places: SidePlaces = {taps: [...taps], mask, example, trainNorms: norms};
  checkFree(model);
  const host = await hostOf(model, places);
  if (norms && host.norms.length === 0) {
    throw new ConfigError(
      `${what}: trainNorms: ${host.label} has no layer norm with a gain or a shift. Leave trainNorms out.`,
    );
  }
  // The model may have got an adapter while an example ran.
  checkFree(model);
  host.checkIdle();
  return SideHandle.attach(model, host, places, network, {seed, cacheBytes, stored});
}

/** @throws ConfigError if the model has an adapter or a side network. */
function checkFree(model: SideModel): void {
  if (typeof model !== 'object' || model === null) return;
  checkAlone(model);
  if (!upgrades.has(model)) return;
  throw new ConfigError(
    'attachSideNetwork: the model has adapters. Call detach() of its Peft first: a side network reads the ' +
      'model as it is.',
  );
}

function hostOf(model: SideModel, places: SidePlaces): SideHost | Promise<SideHost> {
  if (looksLikeGraphModel(model)) {
    const make = sideHostMaker('graph');
    if (make !== undefined) return make(model as never, places);
    throw new ConfigError(
      "attachSideNetwork: the model is a GraphModel. Import '@tfjs-peft/layers/graph' too.",
    );
  }
  if (typeof model === 'object' && model !== null && isContainer(model as Layer))
    return new LayersHost(model as tfl.LayersModel, places);
  throw new ConfigError(
    `attachSideNetwork: the model is ${describe(model)}. Pass a LayersModel from tf.loadLayersModel, ` +
      'tf.model or tf.sequential, or a GraphModel from tf.loadGraphModel.',
  );
}

/** Options of {@link loadSideNetwork}. */
export interface LoadSideOptions {
  /** Load the network even if it was saved beside other base weights. Default false. */
  ignoreBase?: boolean;
  /** For a GraphModel: see {@link GraphSideConfig}. */
  example?: GraphSideConfig['example'];
  /** See {@link SideConfig}. */
  cacheBytes?: number;
}

/**
 * Attaches a saved side network to its base model.
 *
 * @param from What `save` wrote; see `AnyPeft.load`.
 * @throws WeightMismatchError if the file holds no side network, or does not fit the model; ConfigError as
 * {@link attachSideNetwork}. The model is then unchanged.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {attachSideNetwork, loadSideNetwork} from '@tfjs-peft/layers/side';
 *
 * const dense = (name: string) =>
 *   tf.layers.dense({name, units: 4, kernelInitializer: 'ones', inputShape: [4]});
 * const base = () => tf.sequential({layers: [dense('a'), dense('b')]});
 * const side = await attachSideNetwork(base(), {taps: ['a', 'b']});
 * await side.save('out/my-side-network');
 * const loaded = await loadSideNetwork(base(), 'out/my-side-network');
 * ```
 */
export async function loadSideNetwork<M extends SideModel>(
  model: M,
  from: StorageLocation,
  options: LoadSideOptions = {},
): Promise<SidePeft<M>> {
  return inTurn(model, async () => {
    const {ignoreBase, example, cacheBytes} = checkOptions('loadSideNetwork', options, [
      'ignoreBase',
      'example',
      'cacheBytes',
    ]);
    const ignores = checkBoolean('loadSideNetwork', 'ignoreBase', ignoreBase, false);
    const stored = await fetchStored(from);
    const {type, ...config} = plainCopy('side network', configOf(stored.file));
    if (type !== SIDE_TYPE) {
      throw new WeightMismatchError(
        `loadSideNetwork: the file holds an adapter of type ${describe(type)}. Load it with loadPeft.`,
      );
    }
    const own = {
      ...(config as unknown as SideConfig),
      ...(example && {example}),
      ...(cacheBytes !== undefined && {cacheBytes}),
    };
    const side = await attach(model, own, stored.weights);
    try {
      await side.read(stored, ignores);
    } catch (error) {
      side.remove();
      throw error;
    }
    return side;
  });
}
