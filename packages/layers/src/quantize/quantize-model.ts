import type * as tfl from '@tensorflow/tfjs-layers';
import {
  ConfigError,
  checkOptions,
  disposePacked,
  NoTargetError,
  type PackedData,
  type PackedMatrix,
  packData,
  packedFrom,
  UnsupportedSiteError,
} from '@tfjs-peft/kernels';
import {
  type Calibration,
  createFormat,
  createQuantizer,
  type FormatSpec,
  type QuantizationError,
  type Quantizer,
  type QuantizerSpec,
  quantizationError,
  toPacked,
  type WeightFormat,
} from '@tfjs-peft/quant';
import type {StorageLocation} from '../core/io/storage-location.js';
import type {AdaptedModel} from '../core/lifecycle/adapted-model.js';
import {looksLikeGraphModel, peftOf} from '../core/lifecycle/kinds.js';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import type {UpgradableModel} from '../core/lifecycle/peft.js';
import {isNamed, type Targets} from '../core/lifecycle/select.js';
import {type CalibrationData, calibrate, checkData} from './calibrate.js';
import {inBase} from './in-base.js';
import {type Originals, openOriginals} from './originals.js';
import {makeReport, type QuantizationReport} from './report.js';
import {saveGraphPacked} from './saving/graph.js';

/** Options of {@link quantizeModel}. */
export interface QuantizeModelOptions {
  /** The weight format: a type such as `'int4'`, or a config such as `{type: 'int4', group: 64}`. */
  format: FormatSpec;
  /** How grids and codes are chosen. Default `'nearest'`. */
  quantizer?: QuantizerSpec;
  /** Which layers or nodes; see {@link Targets}. Default `'all-dense'`. */
  targets?: Targets;
  /** Inputs of the model, for quantisers that calibrate, such as `'gptq'`. */
  data?: CalibrationData;
  /**
   * The file of the model with its weights of full precision, to be quantised in place of those that it has
   * now; weights that are quantised already are quantised anew. A folder (Node), a URL or an IO handler.
   */
  originals?: StorageLocation;
}

/** A weight that is about to be packed. */
interface Planned {
  path: string;
  matrix: PackableMatrix;
}

/** What it is packed into. */
interface Coded extends Planned {
  data: PackedData;
  error: QuantizationError;
  /** Σ w². */
  energy: number;
}

/**
 * Quantises weights of a model in place: from now on they are packed codes in the backend's memory, and are
 * unpacked only inside the products that use them. Biases and all other weights stay as they are. The model
 * stays your own object, and everything goes on working:
 *
 * - `upgrade` trains adapters on top (QLoRA), and what is upgraded already can be quantised. So can a model
 * beside which a side network stands (MP-ISMoE); data that calibrates runs the base alone.
 * - Quantised weights are frozen, whatever their `trainable` is set to; a compiled model that was to train
 * them is compiled again with a fresh optimizer. Setting them is refused.
 * - `getWeights`, `summary` and hashes see the numbers that the codes stand for, unpacked one at a time.
 *
 * Everything is checked and all codes are made before the model changes. Other models that share layers with
 * it are quantised too. Dense layers and Embeddings can be quantised; in GraphModels, products with a
 * constant and lookups in one, if all nodes that read the constant use it alike.
 *
 * @param model A LayersModel or, if `@tfjs-peft/layers/graph` is imported, a GraphModel.
 * @returns What was quantised, with which error, and what was skipped and why.
 * @throws ConfigError if an option is unknown or out of range, a weight is not finite, or the model is being
 * trained; NoTargetError or UnsupportedSiteError if a target matches nothing that can be quantised. The model
 * is then unchanged.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import '@tfjs-peft/layers';
 * import {quantizeModel} from '@tfjs-peft/layers/quantize';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * const report = await quantizeModel(model, {format: 'int4'});
 * console.log(String(report));
 * ```
 */
export async function quantizeModel(
  model: UpgradableModel | tfl.LayersModel,
  options: QuantizeModelOptions,
): Promise<QuantizationReport> {
  return inBase(model, async () => {
    const {
      format,
      quantizer = 'nearest',
      targets,
      data,
      originals,
    } = checkOptions('quantizeModel', options, ['format', 'quantizer', 'targets', 'data', 'originals']);
    if (format === undefined)
      throw new ConfigError("quantizeModel: format is missing. Set format, such as 'int4'.");
    const into = createFormat(format);
    const made = createQuantizer(quantizer);
    if (made.calibrated && data === undefined) {
      throw new ConfigError(
        `quantizeModel: the quantizer '${made.getConfig().type}' needs inputs of the model. Pass them as data.`,
      );
    }
    if (data !== undefined) checkData(data);
    const peft = peftOf(model);
    const original = originals === undefined ? undefined : await openOriginals('quantizeModel', originals);
    const {planned, skipped} = planOf(peft.changing(), targets, original !== undefined);
    const coded: Coded[] = [];
    for (const {path, matrix} of planned) {
      const calibration = made.calibrated ? await calibrate(model, path, matrix, data!) : undefined;
      coded.push(await code({path, matrix}, original, into, made, calibration));
    }
    const layers = commit(peft.changing(), coded).map(({path, matrix, error, energy}) => ({
      ...{path, matrix, error, energy},
      format: into.getConfig(),
    }));
    if (looksLikeGraphModel(model)) saveGraphPacked(model);
    return makeReport(layers, skipped);
  });
}

/** Which weights are packed, and which are not and why. */
function planOf(
  state: AdaptedModel,
  targets: Targets | undefined,
  anew: boolean,
): {planned: Planned[]; skipped: QuantizationReport['skipped']} {
  const planned: Planned[] = [];
  const skipped: QuantizationReport['skipped'] = [];
  for (const {at, info, status, reason} of state.select(targets)) {
    const skip = (why: string) => skipped.push({layer: info.name, reason: why});
    if (status !== 'adapted') {
      skip(reason);
      continue;
    }
    const matrix = state.matrixAt(info.name);
    const refusal =
      typeof matrix === 'string'
        ? matrix
        : matrix.packed !== undefined && !anew && 'it is quantised already; call dequantizeModel first';
    if (refusal && isNamed(targets, {at})) {
      throw new UnsupportedSiteError(
        `quantizeModel: ${state.noun} '${info.name}' cannot be quantised: ${refusal}. Remove it from targets.`,
      );
    }
    if (refusal) skip(refusal);
    else {
      const own = matrix as PackableMatrix;
      const sharing = planned.find(({path}) => own.sharedWith?.includes(path));
      if (sharing !== undefined) skip(`its weight is that of '${sharing.path}', and is quantised there`);
      else planned.push({path: info.name, matrix: own});
    }
  }
  if (planned.length > 0) return {planned, skipped};
  const [first] = skipped;
  throw new NoTargetError(
    `quantizeModel: the targets select nothing that can be quantised` +
      `${first === undefined ? '' : ` (${state.noun} '${first.layer}': ${first.reason})`}. Select other targets.`,
  );
}

/** @throws ConfigError that names the weight, if it has no codes. */
async function code(
  {path, matrix}: Planned,
  original: Originals | undefined,
  format: WeightFormat,
  quantizer: Quantizer,
  calibration: Calibration | undefined,
): Promise<Coded> {
  const weights = original?.(matrix) ?? (await matrix.read());
  const {shape} = matrix;
  try {
    const codes = toPacked(quantizer.quantize({weights, shape, format, ...(calibration && {calibration})}));
    const energy = weights.reduce((sum, w) => sum + w * w, 0);
    return {
      path,
      matrix,
      data: packData(codes.codes, codes),
      error: quantizationError(weights, codes),
      energy,
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`quantizeModel: '${matrix.weight}' of '${path}': ${error.message}`, {cause: error});
  }
}

/** Makes all tensors, then puts all of them in. */
function commit(state: AdaptedModel, coded: readonly Coded[]): readonly Coded[] {
  const preparation = state.preparePacking();
  const made: PackedMatrix[] = [];
  try {
    for (const {data} of coded) made.push(packedFrom(data));
  } catch (error) {
    preparation.abandon();
    made.forEach(disposePacked);
    throw error;
  }
  coded.forEach(({matrix}, i) => {
    matrix.pack(made[i]!);
  });
  preparation.commit();
  return coded;
}

/**
 * Turns all quantised weights of a model into plain ones: the numbers that their codes stand for.
 *
 * @returns The paths of the layers or nodes.
 * @throws ConfigError if the model is being trained.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import '@tfjs-peft/layers';
 * import {dequantizeModel, quantizeModel} from '@tfjs-peft/layers/quantize';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({name: 'hidden', units: 8, inputShape: [16]})]});
 * await quantizeModel(model, {format: 'int8'});
 * const layers = await dequantizeModel(model); // ['hidden']
 * ```
 */
export async function dequantizeModel(model: UpgradableModel | tfl.LayersModel): Promise<string[]> {
  return inBase(model, async () => {
    const state = peftOf(model).changing();
    const preparation = state.preparePacking();
    const unpacked = state
      .select(() => true)
      .filter(({status}) => status === 'adapted')
      .flatMap(({info: {name}}) => {
        const matrix = state.matrixAt(name);
        if (typeof matrix === 'string' || matrix.packed === undefined) return [];
        matrix.unpack();
        return [name];
      });
    preparation.commit();
    return unpacked;
  });
}
