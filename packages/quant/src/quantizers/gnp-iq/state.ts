import type {Codes} from '../../format.js';
import type {QuantizedMatrix} from '../../matrix.js';

/** What GNP-IQ knows of one matrix. Plain data; each step gives a new one. */
export interface GnpIqState {
  readonly matrix: QuantizedMatrix;
  /** Mean squared error to the original weights of each unit. */
  readonly errors: Float64Array;
  /** Mean of the noise, of each unit or, with `noiseScope: 'scalar'`, one. */
  readonly mu: Float64Array;
  /** Standard deviation of the noise, likewise. */
  readonly sigma: Float64Array;
  /** How many draws were decided. With the seed, it fixes the noise of the next. */
  readonly event: number;
  readonly seed: number;
}

/**
 * A draw that has not been decided yet. What it holds of units is of those that it touches, in their order.
 */
export interface GnpIqDraw {
  /** The touched units, ascending. */
  readonly units: Uint32Array;
  readonly scale: Float32Array;
  readonly zero: Float64Array;
  /** What 1 of the noise was in each unit: the old scale, or 1 with `noiseUnit: 'absolute'`. */
  readonly steps: Float64Array;
  /** The units' codes, one unit after the other. */
  readonly codes: Codes;
  /** The noise that was added, likewise. */
  readonly noise: Float32Array;
  /** Mean squared error to the original weights of each touched unit. */
  readonly errors: Float64Array;
  /** Error_q (eq. 4), the mean over all weights of the matrix, if every touched unit were taken over. */
  readonly error: number;
  /**
   * Derivatives of `error` by mu and sigma of each touched unit, by the straight-through estimator; their
   * sums are those by a scalar. The base, the old scale and earlier draws are constants. Absent with
   * `codesFrom: 'base'`.
   */
  readonly gradients?: {readonly mu: Float64Array; readonly sigma: Float64Array};
}

/** What a draw can be given in place of its own random choice. */
export interface GnpIqChoice {
  /** The units that are drawn, as indices. */
  units?: ArrayLike<number>;
  /** Not 0 for weights that are drawn, [dIn · dOut]: their units are coded anew. */
  elements?: ArrayLike<number>;
  /** Standard normal numbers, [dIn · dOut]. */
  noise?: ArrayLike<number>;
}
