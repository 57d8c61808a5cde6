import type {Tensor} from '@tensorflow/tfjs-core';

/**
 * How a weight starts. `normal` has mean 0; `uniform` covers [low, high); `identity` is a
 * square matrix. The others come from the frozen projection x W + b of the
 * site: `columnNorms` is the Euclidean norm of each column of W, `columns` the first `count` columns of W, `bias` is b, or zeros
 * where there is none.
 */
export type Init =
  | {type: 'zeros'}
  | {type: 'ones'}
  | {type: 'normal'; stddev: number}
  | {type: 'uniform'; low: number; high: number}
  | {type: 'identity'}
  | {type: 'columnNorms'}
  | {type: 'columns'; count: number}
  | {type: 'bias'};

/** A weight that whoever called `build` keeps: in a layer, a variable of the layer. */
export interface Weight {
  /** The present value; it belongs to the owner, so it is not to be disposed. */
  read(): Tensor;
}

/**
 * Declares a float32 weight. Adapters and routers state their weights through it and nowhere else, so the same code makes a layer's
 * variables and counts parameters without making any.
 *
 * @param trainable Whether training may change it. Default true.
 */
export type AddWeight = (name: string, shape: number[], init: Init, trainable?: boolean) => Weight;
