import type * as tf from '@tensorflow/tfjs-core';
import type {PackedMatrix} from '@tfjs-peft/kernels';
import type {MatrixPlace} from '../tfjs/packed-variable.js';

/** A frozen weight of a model that can stay packed in memory: the kernel of a product, or a table of rows. */
export interface PackableMatrix {
  /** The name of the weight in the model. */
  readonly weight: string;
  /** Paths of other nodes that read the same weight, which is then packed for them too. Default: none. */
  readonly sharedWith?: readonly string[];
  /** How the matrix lies in the weight. */
  readonly place: MatrixPlace;
  /** [inputDim, outputDim]. */
  readonly shape: readonly [number, number];
  /** Its codes, if it is packed. */
  readonly packed: PackedMatrix | undefined;
  /** Its numbers, row-major [inputDim · outputDim], whether it is packed or not. */
  read(): Promise<Float32Array>;
  /** Puts codes in the place of its numbers, or of other codes; they belong to the model from then on. */
  pack(packed: PackedMatrix): void;
  /** Puts the numbers of its codes back in their place. */
  unpack(): void;
  /**
   * Calls back with what is multiplied by the matrix, [..., inputDim], whenever the model runs. Absent for
   * tables.
   *
   * @returns A function that ends it.
   */
  watch?(see: (x: tf.Tensor) => void): () => void;
}
