import type {Calibration} from './calibration.js';
import type {WeightFormat} from './format.js';
import type {QuantizedMatrix} from './matrix.js';

/** What a quantiser is given. */
export interface QuantizerInput {
  /** Row-major [dIn · dOut], all finite. */
  readonly weights: ArrayLike<number>;
  /** [dIn, dOut], as of a Dense kernel. */
  readonly shape: readonly [number, number];
  readonly format: WeightFormat;
  /** What is known of the layer's inputs. Present if the quantiser is `calibrated`. */
  readonly calibration?: Calibration;
}

/** A way to choose grids and codes for weights. It knows formats by their interface only. */
export interface Quantizer {
  /** Whether it needs inputs of the layer (`QuantizerInput.calibration`). Default false. */
  readonly calibrated?: boolean;
  /** @throws ConfigError if the format does not suit it, or calibration is missing. */
  quantize(input: QuantizerInput): QuantizedMatrix;
  /** A JSON config with all defaults, from which `createQuantizer` makes an equal quantiser. */
  getConfig(): QuantizerConfig;
}

/**
 * Configs by quantiser type. Each quantiser's file adds its own by declaration merging; a package with its
 * own quantiser does the same.
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty here, so that this file names no quantiser.
export interface QuantizerConfigs {}

/** The config of any known quantiser, discriminated by `type`. */
export type QuantizerConfig = QuantizerConfigs[keyof QuantizerConfigs];

/** A quantiser by its config, or by its type alone for all defaults. */
export type QuantizerSpec = QuantizerConfig | QuantizerConfig['type'];
