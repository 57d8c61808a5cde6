import {sha256} from './sha256.js';
import {encodeText} from './text-encoding.js';

/** Numbers in memory, or the bytes of texts. */
export type Values = ArrayBufferView & ArrayLike<number>;

/**
 * A weight to be hashed; the values are fetched when their turn comes, so that not all are in memory at once.
 */
export interface Hashable {
  name: string;
  shape: number[];
  read(): Promise<Values> | Values;
}

/** The SHA-256 of each weight's bytes, and one over all names, shapes and these. */
export interface WeightHashes {
  sha256: string;
  weights: {name: string; shape: number[]; sha256: string}[];
}

/** @param also Gets each weight's values while they are at hand. */
export async function hashWeights(
  weights: readonly Hashable[],
  also: (values: ArrayLike<number>, at: number) => unknown = () => {},
): Promise<WeightHashes> {
  const hashed: WeightHashes['weights'] = [];
  for (const {name, shape, read} of weights) {
    const values = await read();
    also(values, hashed.length);
    hashed.push({name, shape: [...shape], sha256: await sha256(values)});
  }
  const text = JSON.stringify(hashed.map(({name, shape, sha256}) => [name, shape, sha256]));
  return {sha256: await sha256(encodeText(text)), weights: hashed};
}
