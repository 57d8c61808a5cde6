import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, type PackedData, packData, packedBytes, WeightMismatchError} from '@tfjs-peft/kernels';
import {readModel} from '../../core/io/model-folder.js';
import type {StorageLocation} from '../../core/io/storage-location.js';
import {joinWeights, type StoredWeight, splitWeights, weightBytes} from '../../core/io/weight-bytes.js';
import {inside, type VariableInternals} from '../../core/tfjs/internals.js';
import {isPackedVariable} from '../../core/tfjs/packed-variable.js';
import {buildLayersModel, namesOf, settle} from './build.js';
import type {PackedWeight} from './packed-weight.js';

/** A weight that {@link loadPacked} keeps packed. */
export interface LoadedWeight {
  /** Path of its layer in the model. */
  layer: string;
  weight: string;
  /** As the converter stored it. */
  dtype: 'uint8' | 'uint16' | 'float16';
  /** Tensor memory of the plain weight, in bytes. */
  bytesBefore: number;
  /** Tensor memory of the packed one, in bytes. */
  bytesAfter: number;
}

/** What {@link loadPacked} gives. */
export interface LoadedPacked {
  model: tfl.LayersModel;
  packed: LoadedWeight[];
  /** Weights that the converter quantised and that are float32 now: their layers cannot have them packed. */
  expanded: string[];
}

type Quantization = NonNullable<tf.io.WeightsManifestEntry['quantization']>;

/**
 * Loads a LayersModel that tensorflowjs_converter has quantised (`--quantize_uint8`, `--quantize_uint16` or
 * `--quantize_float16`) and keeps its Dense kernels and Embedding tables packed, code for code; tfjs's own
 * loader makes float32 of all of them. Other weights, such as biases and convolutions, are float32 as there.
 *
 * The numbers are scale · code + min in float32, where tfjs rounds once from float64: they agree to a
 * rounding of float32. The model goes on as one that `quantizeModel` has quantised: adapters train on top,
 * `model.save` writes it packed, `dequantizeModel` makes it plain.
 *
 * @param from A folder (Node) or the `model.json` in it, a URL, or an IO handler of tfjs, such as one of
 * `normalizeArtifacts`.
 * @throws ConfigError if there is no such file, or it is that of a GraphModel; WeightMismatchError if it is
 * cut off, or lacks weights of the model.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import '@tfjs-peft/layers';
 * import {loadPacked} from '@tfjs-peft/layers/quantize';
 *
 * // What the converter writes for a Dense with --quantize_uint8.
 * const kernel = {name: 'hidden/kernel', shape: [2, 1], dtype: 'float32'} as const;
 * const config = {name: 'hidden', units: 1, use_bias: false, batch_input_shape: [null, 2]};
 * const layer = {class_name: 'Dense', config};
 * const {model, packed} = await loadPacked(
 *   tf.io.fromMemory({
 *     modelTopology: {class_name: 'Sequential', config: {name: 'one', layers: [layer]}},
 *     weightSpecs: [{...kernel, quantization: {dtype: 'uint8', scale: 0.5, min: -1}}],
 *     weightData: Uint8Array.of(0, 4).buffer,
 *   }),
 * );
 * (model.predict(tf.ones([1, 2])) as tf.Tensor).print(); // -1 + 1
 * console.log(packed.map(({bytesAfter}) => bytesAfter));
 * ```
 */
export async function loadPacked(from: StorageLocation): Promise<LoadedPacked> {
  const artifacts = await readModel(from);
  const {node} = (artifacts.modelTopology ?? {}) as {node?: unknown};
  if (node !== undefined) {
    throw new ConfigError(
      'loadPacked: the file is that of a GraphModel. Load it with tf.loadGraphModel, and call quantizeModel.',
    );
  }
  const stored = splitWeights(artifacts.weightSpecs ?? [], await weightBytes(artifacts));
  const candidates = new Map(stored.flatMap((weight) => candidate(weight)));
  const plain = stored.filter(({spec}) => !candidates.has(spec.name));
  const left = new Map(candidates);
  const model = await buildLayersModel({...artifacts, ...joinWeights(plain)}, left);
  try {
    // Names that the converter made longer are matched by tfjs.
    const others = stored.filter(({spec}) => left.has(spec.name));
    for (const weight of others) setPlain(model, weight);
    checkComplete(model, namesOf(stored));
    const settled = settle(model);
    const at = new Set(settled.map(({weight}) => weight));
    for (const variable of model.weights) {
      const weight = stored.find(({spec}) => spec.name === variable.originalName);
      if (at.has(variable.originalName) || !isPackedVariable(variable.read())) continue;
      unpack(variable, weight!);
    }
    const kept = settled.map(({layer, weight, shape: [rows, columns], packed}): LoadedWeight => {
      const {dtype} = stored.find(({spec}) => spec.name === weight)!.spec.quantization as Quantization;
      const bytesBefore = 4 * rows * columns;
      return {
        layer,
        weight,
        dtype: dtype as LoadedWeight['dtype'],
        bytesBefore,
        bytesAfter: packedBytes(packed),
      };
    });
    const quantised = stored.filter(({spec}) => spec.quantization !== undefined).map(({spec}) => spec.name);
    return {model, packed: kept, expanded: quantised.filter((name) => !at.has(name))};
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** A matrix that the converter quantised, as a packed weight. */
function candidate({spec, bytes}: StoredWeight): [string, PackedWeight][] {
  const {name, shape, dtype, quantization} = spec;
  if (quantization === undefined || dtype !== 'float32' || shape.length !== 2) return [];
  const data = dataOf(shape as [number, number], quantization, bytes);
  return data === undefined ? [] : [[name, {name, place: {shape}, data}]];
}

function dataOf(
  shape: [number, number],
  {dtype, scale, min}: Quantization,
  bytes: Uint8Array,
): PackedData | undefined {
  const grid = {shape, group: Math.max(shape[0], 1), unitColumns: 1};
  const words = (): Uint16Array => new Uint16Array(bytes.slice().buffer);
  if (dtype === 'float16') return packData(words(), {...grid, bits: 16, values: 'f16'});
  const units = {scale: Float32Array.of(scale!), offset: Float32Array.of(min!)};
  if (dtype === 'uint8') return packData(bytes, {...grid, ...units, bits: 8});
  return dtype === 'uint16' ? packData(words(), {...grid, ...units, bits: 16}) : undefined;
}

/** Sets a weight whose name in the model tfjs knows. */
function setPlain(model: tfl.LayersModel, {spec, bytes}: StoredWeight): void {
  const own = model.weights.find(({originalName}) => originalName === spec.name);
  if (own !== undefined && String(own.shape) !== String(spec.shape)) {
    throw new WeightMismatchError(
      `loadPacked: '${spec.name}' has the shape [${spec.shape}] in the file and [${own.shape}] in the model. ` +
        'Download the file again.',
    );
  }
  const decoded = tf.io.decodeWeights(bytes.slice().buffer, [spec]);
  model.loadWeights(decoded, false);
  tf.dispose(decoded);
}

/** Gives a weight of a layer that cannot have it packed its plain value. */
function unpack(variable: tfl.LayerVariable, {spec, bytes}: StoredWeight): void {
  const fields = inside<VariableInternals>(variable);
  const value = tf.io.decodeWeights(bytes.slice().buffer, [spec])[spec.name]!;
  fields.val.dispose();
  fields.val = tf.variable(value, variable.trainable, variable.name);
  value.dispose();
}

/** @throws WeightMismatchError if a weight of the model is none of the file's, by either of its names. */
function checkComplete(model: tfl.LayersModel, names: readonly string[]): void {
  // The converter puts the name of a cell before that of its weight.
  const short = names.map((name) => name.replace(/[^/]+\/([^/]+)$/, '$1'));
  const known = new Set([...names, ...short]);
  const missing = model.weights.find(({originalName}) => !known.has(originalName));
  if (missing === undefined) return;
  throw new WeightMismatchError(
    `loadPacked: the file has no weight '${missing.originalName}' of the model. Load it with tf.loadLayersModel, ` +
      'and call quantizeModel.',
  );
}
