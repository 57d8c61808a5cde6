import * as tfl from '@tensorflow/tfjs-layers';
import {
  ConfigError,
  checkCount,
  checkOptions,
  describe,
  packData,
  packedFrom,
  readPacked,
  unpackData,
} from '@tfjs-peft/kernels';
import {
  createFormat,
  type FormatSpec,
  fromPacked,
  type GnpIqConfig,
  GnpIqQuantizer,
  type GnpIqState,
  toPacked,
} from '@tfjs-peft/quant';
import type {StorageLocation} from '../core/io/storage-location.js';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import type {UpgradableModel} from '../core/lifecycle/peft.js';
import {deriveSeed} from '../core/random.js';
import {openOriginals} from './originals.js';
import {packedMatrices} from './packed-matrices.js';

/** Options of {@link gnpIqCallback}; the others are those of the quantiser `gnp-iq`. */
export interface GnpIqCallbackOptions extends Omit<GnpIqConfig, 'type' | 'draws' | 'base'> {
  /** The format in which the weights are quantised, as `quantizeModel` had it. */
  format: FormatSpec;
  /**
   * The file of the model before it was quantised: a folder (Node), a URL or an IO handler. It is read at
   * every event, and one weight at a time is plain.
   */
  originals: StorageLocation;
  /** Epochs from one event to the next: M of the paper. Default 1. */
  every?: number;
  /** Is told what an event did. */
  onEvent?: (event: GnpIqEvent) => void;
}

/** What one event of {@link gnpIqCallback} did. */
export interface GnpIqEvent {
  /** Counted from 1. */
  epoch: number;
  layers: {
    /** Path of the layer or node. */
    layer: string;
    /** Units that were drawn, and how many of them took their new codes. */
    drawn: number;
    accepted: number;
    /** Mean of the units' mean (w - w_d)² now. */
    error: number;
  }[];
}

/** A quantised weight, and how far its iteration is. */
interface Iterated {
  layer: string;
  matrix: PackableMatrix;
  state: GnpIqState;
}

/**
 * GNP-IQ while a model trains (MP-ISMoE, AAAI-26, eqs 1 to 5): every M epochs, a share of the units of each
 * quantised weight is perturbed with Gaussian noise and coded anew, and the noise's μ and σ follow the
 * gradient of the quantisation error. The original weights are read again from their file, layer by layer, so
 * no copy of them stays in memory.
 *
 * The paper leaves open how a draw is used. By default a unit takes its new codes only if its error to the
 * original weights falls, and nothing happens after the last epoch, as requantising what has been trained on
 * costs accuracy; both readings are ours. `accept: false` takes every draw.
 *
 * The iteration goes on from the codes that the model has, whatever chose them.
 *
 * @param model A model that `quantizeModel` has quantised, with adapters or a side network, or neither.
 * @returns A callback for `model.fit`, or for `fit` of a GraphModel's trainer.
 * @throws ConfigError if an option is unknown or out of range, or nothing is quantised; WeightMismatchError
 * if the originals are not those of the model.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {upgrade} from '@tfjs-peft/layers';
 * import {gnpIqCallback, quantizeModel} from '@tfjs-peft/layers/quantize';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * let originals: tf.io.ModelArtifacts;
 * await model.save(
 *   tf.io.withSaveHandler(async (artifacts) => {
 *     originals = artifacts;
 *     return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
 *   }),
 * );
 * await quantizeModel(model, {format: 'int4'});
 * await upgrade(model, {targets: ['hidden'], adapter: {type: 'lora', rank: 2}});
 * model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
 * const callbacks = await gnpIqCallback(model, {format: 'int4', originals: tf.io.fromMemory(originals!)});
 * await model.fit(tf.ones([4, 16]), tf.ones([4, 8]), {epochs: 3, callbacks, verbose: 0});
 * ```
 */
export async function gnpIqCallback(
  model: UpgradableModel | tfl.LayersModel,
  options: GnpIqCallbackOptions,
): Promise<tfl.CustomCallback> {
  const what = 'gnpIqCallback';
  const {format, originals, every, onEvent, ...rest} = checkOptions(what, options, OPTIONS);
  if (format === undefined || originals === undefined) {
    throw new ConfigError(
      `${what}: ${format === undefined ? 'format' : 'originals'} is missing. Set both, as quantizeModel had them.`,
    );
  }
  if (onEvent !== undefined && typeof onEvent !== 'function')
    throw new ConfigError(`${what}: onEvent is ${describe(onEvent)}. Pass a function.`);
  const quantizer = new GnpIqQuantizer({...rest, type: 'gnp-iq', base: 'original'});
  const epochs = checkCount(what, 'every', every, {fallback: 1});
  const into = createFormat(format);
  const {seed} = quantizer.getConfig();
  const iterated = await packedMatrices(what, model, async (found) => {
    const original = await openOriginals(what, originals);
    const made: Iterated[] = [];
    for (const [i, {layer, matrix}] of found.entries()) {
      const codes = fromPacked(unpackData(await readPacked(matrix.packed!)), into);
      made.push({layer, matrix, state: quantizer.resume(codes, original(matrix), deriveSeed(seed, i))});
    }
    return made;
  });
  return new GnpIqCallback(async (epoch) => {
    const original = await openOriginals(what, originals);
    const layers = iterated.map((each): GnpIqEvent['layers'][number] => {
      const draw = quantizer.draw(each.state, original(each.matrix));
      const {state, accepted} = quantizer.decide(each.state, draw);
      each.state = quantizer.learn(state, draw);
      const taken = accepted.reduce((sum, one) => sum + one, 0);
      if (taken > 0) repack(each);
      const {errors} = each.state;
      const error = errors.reduce((sum, one) => sum + one, 0) / Math.max(errors.length, 1);
      return {layer: each.layer, drawn: accepted.length, accepted: taken, error};
    });
    onEvent?.({epoch: epoch + 1, layers});
  }, epochs);
}

const OPTIONS = [
  'format',
  'originals',
  'every',
  'onEvent',
  'codesFrom',
  'accept',
  'subset',
  'share',
  'noiseScope',
  'noiseUnit',
  'ste',
  'mu',
  'sigma',
  'learningRate',
  'seed',
] as const satisfies (keyof GnpIqCallbackOptions)[];

/** Puts the codes of an iteration into the model. */
function repack({matrix, state}: Iterated): void {
  const codes = toPacked(state.matrix);
  matrix.pack(packedFrom(packData(codes.codes, codes)));
}

/** A class, because only callbacks of one are told how many epochs there are. */
class GnpIqCallback extends tfl.CustomCallback {
  constructor(event: (epoch: number) => Promise<void>, every: number) {
    super({
      onEpochEnd: async (epoch) => {
        const {epochs} = (this.params ?? {}) as {epochs?: number};
        const last = epochs !== undefined && epoch + 1 >= epochs;
        if ((epoch + 1) % every === 0 && !last) await event(epoch);
      },
    });
  }
}
