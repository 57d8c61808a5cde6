import {
  ConfigError,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkNumber,
  checkOptions,
} from '@tfjs-peft/kernels';

/**
 * Config of {@link GnpIqQuantizer}. The paper leaves open how its draws are used; each reading is an option.
 * The defaults never raise the error of the weights; `codesFrom: 'base'` is the reading that lowers it.
 */
export interface GnpIqConfig {
  type: 'gnp-iq';
  /**
   * What is coded on the new grid: the perturbed weights (eq. 5), or the clean ones, so that noise only moves
   * the range of each unit. Default `'perturbed'`.
   */
  codesFrom?: 'perturbed' | 'base';
  /**
   * Whether a unit keeps its old codes unless its mean error to the original weights falls. Default true.
   * Without it, noise of σ steps adds 12 (σ² + μ²) times the error of rounding.
   */
  accept?: boolean;
  /**
   * What noise is added to: the original weights, read anew for each draw, or what the codes stand for, where
   * no copy of the originals is at hand. The second drifts away. Default `'original'`.
   */
  base?: 'original' | 'previous';
  /** What is drawn: whole units, or single weights, whose units are coded anew. Default `'units'`. */
  subset?: 'units' | 'elements';
  /** Share of the units, or of the weights, that a draw changes: p % of the paper. Default 1. */
  share?: number;
  /** Whether each unit has its own μ and σ, or all share one. Default `'unit'`. */
  noiseScope?: 'unit' | 'scalar';
  /** Whether μ and σ count steps of a unit's grid, or are as the weights. Default `'scale'`. */
  noiseUnit?: 'scale' | 'absolute';
  /**
   * Whether the straight-through estimator takes the grid for constant, or follows its scale to the extremes
   * of the unit. Default `'detached'`.
   */
  ste?: 'detached' | 'scale';
  /** Initial mean of the noise. Default 0. */
  mu?: number;
  /**
   * Initial standard deviation of the noise. Default 0.25 with `codesFrom: 'base'`, else 0.1; has to be set
   * with `noiseUnit: 'absolute'`.
   */
  sigma?: number;
  /** Step of μ and σ down the gradient of a unit's error; 0 leaves them as they are. Default 0.1. */
  learningRate?: number;
  /** How many draws `quantize` makes. Default 50. */
  draws?: number;
  /** Of the noise and the choice of units. Default 0. */
  seed?: number;
}

export const GNP_IQ_OPTIONS = [
  'codesFrom',
  'accept',
  'base',
  'subset',
  'share',
  'noiseScope',
  'noiseUnit',
  'ste',
  'mu',
  'sigma',
  'learningRate',
  'draws',
  'seed',
] as const satisfies (keyof GnpIqConfig)[];

const CODES_FROM = ['perturbed', 'base'] as const;
const BASES = ['original', 'previous'] as const;
const SUBSETS = ['units', 'elements'] as const;
const SCOPES = ['unit', 'scalar'] as const;
const UNITS = ['scale', 'absolute'] as const;
const ESTIMATORS = ['detached', 'scale'] as const;

/** @throws ConfigError if an option is unknown or out of range. */
export function checkedGnpIq(what: string, config: GnpIqConfig): Required<GnpIqConfig> {
  const given = checkOptions(what, config, ['type', ...GNP_IQ_OPTIONS]);
  const codesFrom = checkChoice(what, 'codesFrom', given.codesFrom, CODES_FROM);
  const noiseUnit = checkChoice(what, 'noiseUnit', given.noiseUnit, UNITS);
  if (noiseUnit === 'absolute' && given.sigma === undefined) {
    throw new ConfigError(
      `${what}: sigma is missing, and has no default with noiseUnit 'absolute'. Set sigma, in units of the ` +
        "weights, or noiseUnit: 'scale'.",
    );
  }
  return {
    type: 'gnp-iq',
    codesFrom,
    accept: checkBoolean(what, 'accept', given.accept, true),
    base: checkChoice(what, 'base', given.base, BASES),
    subset: checkChoice(what, 'subset', given.subset, SUBSETS),
    share: checkNumber(what, 'share', given.share, {min: 0, max: 1, fallback: 1}),
    noiseScope: checkChoice(what, 'noiseScope', given.noiseScope, SCOPES),
    noiseUnit,
    ste: checkChoice(what, 'ste', given.ste, ESTIMATORS),
    mu: checkNumber(what, 'mu', given.mu, {min: -1e6, max: 1e6, fallback: 0}),
    sigma: checkNumber(what, 'sigma', given.sigma, {
      min: 0,
      max: 1e6,
      fallback: codesFrom === 'base' ? 0.25 : 0.1,
    }),
    learningRate: checkNumber(what, 'learningRate', given.learningRate, {min: 0, max: 1, fallback: 0.1}),
    draws: checkInteger(what, 'draws', given.draws, {min: 0, max: 100_000, fallback: 50}),
    seed: checkInteger(what, 'seed', given.seed, {min: 0, max: 2 ** 32 - 1, fallback: 0}),
  };
}
