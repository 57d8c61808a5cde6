import {
  type Activation,
  ConfigError,
  checkBoolean,
  checkChoice,
  checkCount,
  checkNumber,
  checkPositive,
} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';

/** How `h rᵀ` of the backbone's token becomes comparable with the router's own probabilities. */
export const NORMS = ['softmax', 'l2', 'layernorm'] as const;
/** What becomes of the scores that are kept. */
export const GATES = ['softmax', 'renorm', 'raw'] as const;
/** Activations of the experts. */
export const EXPERT_ACTIVATIONS = ['relu', 'gelu', 'gelu_tanh'] as const;
/** How the side state meets what a tap gives. */
export const COMBINES = ['sum', 'lst'] as const;
export const INITS = ['embedding', 'none'] as const;
export const SALIENTS = ['first', 'mean'] as const;
export const WIRINGS = ['ladder', 'unipt'] as const;

/** Options of {@link Ismoe}. */
export interface IsmoeConfig {
  /** Copies of the feed-forward block, N. Default 4, as in the paper's Figure 1. */
  experts?: number;
  /** Experts that each token keeps, from 1 to `experts`. Default 2, or 1 where there is but one expert. */
  topK?: number;
  /**
   * - `softmax`: equations 6 and 8 to the letter: the softmax of the scores that are kept. As these lie close
   *   together, so do the gates; with `topK: 1` the gate is 1, and the router gets no gradient.
   * - `renorm` (a reconstruction): the scores that are kept, divided by their sum.
   * - `raw` (a reconstruction): the scores that are kept. The only form in which the router learns with
   *   `topK: 1`.
   *
   * Default `softmax`.
   */
  gates?: (typeof GATES)[number];
  /**
   * Norm of equation 7, which the paper does not name: `softmax` over the experts, `l2`, or `layernorm`
   * without gain and shift. Only with `softmax` do the scores sum to 1. Default `softmax`.
   */
  norm?: (typeof NORMS)[number];
  /** Activation of the experts; `gelu` is exact. Default `relu`. */
  activation?: (typeof EXPERT_ACTIVATIONS)[number];
  /** Whether the backbone's token has a say (equation 7); if not, equation 6 alone. Default true. */
  interaction?: boolean;
  /** Whether the router's linear map has a bias. Default false. */
  routerBias?: boolean;
  /** Standard deviation of the noise by which the copies differ at the start. Default 0.001. */
  noise?: number;
}

/** The options of a side network, but for its taps. */
export interface SideNetworkConfig extends IsmoeConfig {
  /**
   * The side network's width is the width of the last tap divided by this, rounded up to a multiple of
   * `heads`. Default 8, as in LST.
   */
  reduction?: number;
  /** The width itself, a multiple of `heads`, instead of `reduction`. */
  width?: number;
  /** Heads of the attention. Default 4. */
  heads?: number;
  /** Width of each expert's hidden layer. Default 4 times the width. */
  hidden?: number;
  /**
   * How the side state s meets the tap's projection d: `sum`, s + d, as the paper's Figure 1 has it; or
   * `lst`, m s + (1 - m) d with a learned m = sigmoid(a / 0.1) of each block, as in LST. Default `sum`.
   */
  combine?: (typeof COMBINES)[number];
  /**
   * Where the side state starts: with `embedding` at the projection of the first tap, which has no block of
   * its own (Figure 1: L + 1 projections); with `none` at the first block. Default `embedding`.
   */
  init?: (typeof INITS)[number];
  /**
   * The backbone's token that the routers read (the paper: "[CLS] or salient token"): the `first` of the
   * block's own tap, or the `mean` of all that are not masked. Default `first`.
   */
  salient?: (typeof SALIENTS)[number];
  /**
   * `ladder`: a block for each tap, each after the other (the paper's figure; with `combine: 'lst'` it is
   * wired as LST is). `unipt` (a reconstruction): as in UniPT, the taps are merged by attention to the last
   * one, and one ISMoE follows. Default `ladder`.
   */
  wiring?: (typeof WIRINGS)[number];
  /**
   * Whether a block keeps only its inputs for the gradient, and is run once more for it: fewer bytes for more
   * time. The numbers are the same, and files do not hold it. Default false.
   */
  recompute?: boolean;
}

export const ISMOE_OPTIONS = [
  'experts',
  'topK',
  'gates',
  'norm',
  'activation',
  'interaction',
  'routerBias',
  'noise',
] as const;

export const SIDE_OPTIONS = [
  ...ISMOE_OPTIONS,
  'reduction',
  'width',
  'heads',
  'hidden',
  'combine',
  'init',
  'salient',
  'wiring',
  'recompute',
] as const;

/** An {@link IsmoeConfig} with all defaults. */
export type FullIsmoeConfig = Required<IsmoeConfig>;

/** A {@link SideNetworkConfig} with all defaults. */
export type FullSideConfig = Required<Omit<SideNetworkConfig, 'reduction'>>;

/** Fills in the defaults of the options that {@link Ismoe} has. */
export function checkIsmoe(what: string, config: IsmoeConfig): FullIsmoeConfig {
  const given = checkOptions(what, config, ISMOE_OPTIONS);
  const experts = checkCount(what, 'experts', given.experts, {fallback: 4});
  return {
    experts,
    topK: checkCount(what, 'topK', given.topK, {max: experts, fallback: Math.min(2, experts)}),
    gates: checkChoice(what, 'gates', given.gates, GATES),
    norm: checkChoice(what, 'norm', given.norm, NORMS),
    activation: checkChoice(what, 'activation', given.activation, EXPERT_ACTIVATIONS),
    interaction: checkBoolean(what, 'interaction', given.interaction, true),
    routerBias: checkBoolean(what, 'routerBias', given.routerBias, false),
    noise: checkNumber(what, 'noise', given.noise, {min: 0, fallback: 1e-3}),
  };
}

/** The name of an expert's activation among the fused ones. */
export function fusedName(activation: FullIsmoeConfig['activation']): Activation {
  return activation === 'gelu_tanh' ? 'geluTanh' : activation;
}

/** The options of a side network's mixtures. */
export function ismoeOptions(config: FullSideConfig): FullIsmoeConfig {
  const {experts, topK, gates, norm, activation, interaction, routerBias, noise} = config;
  return {experts, topK, gates, norm, activation, interaction, routerBias, noise};
}

/**
 * Fills in the defaults of a side network.
 *
 * @param widths Channels of the taps, the last one's last.
 * @throws ConfigError if an option is unknown or out of range, or two contradict each other.
 */
export function checkSide(
  what: string,
  config: SideNetworkConfig,
  widths: readonly number[],
): FullSideConfig {
  const given = checkOptions(what, config, SIDE_OPTIONS);
  const {
    reduction,
    width: wide,
    heads: _h,
    hidden: _f,
    combine,
    init,
    salient,
    wiring,
    recompute,
    ...ismoe
  } = given;
  const heads = checkCount(what, 'heads', given.heads, {fallback: 4});
  if (wide !== undefined && reduction !== undefined)
    throw new ConfigError(`${what}: width and reduction are both given. Set one of them.`);
  const share = checkPositive(what, 'reduction', reduction, 8);
  const reduced = Math.max(1, Math.ceil(Math.ceil(widths.at(-1)! / share) / heads)) * heads;
  const width = checkCount(what, 'width', wide, {fallback: reduced});
  if (width % heads !== 0) {
    throw new ConfigError(
      `${what}: width is ${width} and heads ${heads}. Set width to a multiple of heads, or other heads.`,
    );
  }
  const full: FullSideConfig = {
    ...checkIsmoe(what, ismoe),
    width,
    heads,
    hidden: checkCount(what, 'hidden', given.hidden, {fallback: 4 * width}),
    combine: checkChoice(what, 'combine', combine, COMBINES),
    init: checkChoice(what, 'init', init, INITS),
    salient: checkChoice(what, 'salient', salient, SALIENTS),
    wiring: checkChoice(what, 'wiring', wiring, WIRINGS),
    recompute: checkBoolean(what, 'recompute', recompute, false),
  };
  if (full.wiring === 'unipt' && (combine !== undefined || init !== undefined)) {
    throw new ConfigError(
      `${what}: combine and init are for the ladder. Leave them out, or set wiring to 'ladder'.`,
    );
  }
  if (full.wiring === 'ladder' && full.init === 'embedding' && widths.length < 2) {
    throw new ConfigError(
      `${what}: with init 'embedding' the first tap is the embedding's output, and blocks belong to the ` +
        "others; there is one tap. Name two or more in taps, or set init to 'none'.",
    );
  }
  return full;
}
