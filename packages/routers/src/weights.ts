import type {Tensor} from '@tensorflow/tfjs-core';

/**
 * The initial value of a weight. `normal` has mean 0; `uniform` covers [low, high); `identity` needs a square
 * matrix. The others come from the frozen projection x W + b of the site: `columnNorms` is the Euclidean norm
 * of each column of W; `columns`, the first `count` columns of W; `bias`, b, or zeros if the site has no
 * bias.
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

/** A weight owned by the caller of `build`; in a layer, a variable of that layer. */
export interface Weight {
  /** The current value. It belongs to the owner: do not dispose it. */
  read(): Tensor;
}

/**
 * Declares a float32 weight. Adapters and routers declare all their weights through it, so the same code
 * creates a layer's variables and counts parameters without creating any.
 *
 * @param trainable Whether training may change it. Default true.
 */
export type AddWeight = (name: string, shape: number[], init: Init, trainable?: boolean) => Weight;
