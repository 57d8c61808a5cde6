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
  | {type: 'constant'; value: number}
  | {type: 'normal'; stddev: number}
  | {type: 'uniform'; low: number; high: number}
  | {type: 'heUniform'; seed?: number}
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
 * A frozen weight that all sites of an adapter have in common. It is as large as the largest of them asks
 * for, and each reads the leading part of the shape that it gave. Its `init` is `heUniform` with a seed.
 *
 * - `'shared'`: it is drawn again from the seed wherever it is needed, and never saved.
 * - `'shared-saved'`: the adapter's file has it, once; loading takes it from there, whatever the seed would
 *   give. All sites must give it one `init`.
 */
export type WeightSharing = 'shared' | 'shared-saved';

/**
 * Declares a float32 weight. Adapters and routers declare all their weights through it, so the same code
 * creates a layer's variables and counts parameters without creating any.
 *
 * @param trainable Whether training may change it, or how sites share it. Default true.
 */
export type AddWeight = (
  name: string,
  shape: number[],
  init: Init,
  trainable?: boolean | WeightSharing,
) => Weight;
