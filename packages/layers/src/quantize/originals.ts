import * as tf from '@tensorflow/tfjs-core';
import {WeightMismatchError} from '@tfjs-peft/kernels';
import {readModel} from '../core/io/model-folder.js';
import type {StorageLocation} from '../core/io/storage-location.js';
import {splitWeights, weightBytes} from '../core/io/weight-bytes.js';
import type {PackableMatrix} from '../core/lifecycle/packable.js';

/** Gives the numbers of a weight as a file has them, row-major [inputDim · outputDim]. */
export type Originals = (matrix: PackableMatrix) => Float32Array;

/**
 * Opens the file of a model for its weights of full precision, which are decoded one at a time.
 *
 * @param what Names the caller in messages.
 */
export async function openOriginals(what: string, from: StorageLocation): Promise<Originals> {
  const artifacts = await readModel(from);
  const stored = splitWeights(
    artifacts.weightSpecs ?? [],
    await weightBytes(artifacts),
    'The file of originals',
  );
  const named = new Map(stored.map((weight) => [weight.spec.name, weight]));
  return ({weight, place: {shape, transposed}}) => {
    const found = named.get(weight);
    if (found === undefined || String(found.spec.shape) !== String(shape) || found.spec.dtype !== 'float32') {
      throw new WeightMismatchError(
        `${what}: the originals have ${found === undefined ? 'no weight' : `[${found.spec.shape}] of ${found.spec.dtype} for`} ` +
          `'${weight}', a float32 [${shape}] of the model. Pass the file from which the model was loaded.`,
      );
    }
    const {[weight]: tensor} = tf.io.decodeWeights(found.bytes.slice().buffer, [found.spec]);
    const values = Float32Array.from(tensor!.dataSync());
    tensor!.dispose();
    return transposed ? transpose(values, shape.at(-1)!) : values;
  };
}

/** @param columns Of the matrix as given. */
function transpose(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}
