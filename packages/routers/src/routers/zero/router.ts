import * as tf from '@tensorflow/tfjs-core';
import {
  ConfigError,
  checkBoolean,
  checkChoice,
  checkCount,
  checkInteger,
  checkNumber,
  checkOptions,
  checkPositive,
} from '@tfjs-peft/kernels';
import {defineRouter} from '../../define.js';
import {importanceLoss, meanUsage, usageDivergence} from '../../losses.js';
import {jitterOf} from '../../noise.js';
import {
  FORMS,
  type Form,
  type Router,
  type RouterNeeds,
  type RouterView,
  type Routing,
} from '../../router.js';
import {decide} from './decide.js';
import {calmStream, NORMALIZERS, type Normalizer} from './normalize.js';
import {SELECTIONS, type Selection} from './selection.js';
import {ANCHORS, type Anchor, anchorsOf, spreadOver} from './windows.js';

export type {Anchor as ZeroAnchor, Normalizer as ZeroNormalizer, Selection as ZeroSelection};

/** Config of {@link ZeroRouter}. */
export interface ZeroRouterConfig {
  type: 'zero';
  /** Number of experts, at least 1 and at most the width of the site's output. */
  experts: number;
  /**
   * Defaults of `normalizer` and `selection`: those of the paper, or of the released code. Default `paper`.
   */
  form?: Form;
  /** Divides the logits. Default 0.5. */
  temperature?: number;
  /** Weight of the adapter's stream against the frozen output's, from 0 to 1. Default 0.7. */
  gamma?: number;
  /**
   * First stream: the frozen output (`base`), or the `sum` of it and the adapter's output, as in the code
   * over DoRA. Default `base`.
   */
  stream?: 'base' | 'sum';
  /**
   * Divisor of a stream: its largest magnitude per `token` (default of `paper`) or over the whole `batch` (of
   * `code`).
   */
  normalizer?: Normalizer;
  /** Which experts keep their weight. Default `auto` (paper), `auto-sigmoid` (code). */
  selection?: Selection;
  /**
   * Threshold of `auto` and `auto-sigmoid`, from 0 to 1: 0 keeps all, 1 the most probable alone. Default 0.7.
   */
  theta?: number;
  /** Number of experts for `top-k` and `top-k-sigmoid`. Default 1. */
  topK?: number;
  /** Maximum number of experts for `auto`. Default: no maximum. */
  maxActive?: number;
  /** Divides the sigmoid's argument. Default 0.5. */
  sharpness?: number;
  /**
   * Number of consecutive tokens that share one decision; the whole sequence if it is shorter. Default 1.
   * Inputs of rank 2 have one token per sample and no windows.
   */
  nGram?: number;
  /** The token that decides for a window. Default `last` (paper), or `previous` if `causal` is set. */
  anchor?: Anchor;
  /** Refuse options that let a token see later ones. Default false. */
  causal?: boolean;
  /** In training, multiply the logits by uniform numbers from 1 - jitter to 1 + jitter. Default 0. */
  jitter?: number;
  /** Weight of the importance loss in training. Default 0; the paper uses 0.1. */
  importance?: number;
  /** Weight of the divergence from uniform usage in training. Default 0; the paper uses 0.01. */
  divergence?: number;
}

const OPTIONS = [
  'form',
  'temperature',
  'gamma',
  'stream',
  'normalizer',
  'selection',
  'theta',
  'topK',
  'maxActive',
  'sharpness',
  'nGram',
  'anchor',
  'causal',
  'jitter',
  'importance',
  'divergence',
] as const;

/**
 * LiME's router without parameters (arXiv 2604.02338, section 3). The logits are the first E columns of the
 * frozen output z and of the adapter's output d, each divided by its largest magnitude (z' and d'):
 *
 *     p = softmax(((1 - gamma) z' + gamma d') / temperature)
 *
 * Auto Top-K keeps the experts with at least theta times the largest p. The released code (Kowsher/LiME)
 * divides by one maximum over the whole batch, so a token's routing depends on the other samples, and
 * replaces the hard selection by a sigmoid; `form: 'code'` does the same. The selection is a constant of the
 * gradient.
 *
 * With `nGram` above 1, the last token of each window chooses the experts for the whole window, as in the
 * paper. In a causal model this leaks the future into the window's earlier tokens, and the last token does
 * not exist yet in generation. With `anchor: 'previous'`, the token before the window decides.
 *
 * The last real token of a window decides, never padding, except in `form: 'code'`.
 *
 * The usage losses count unmasked tokens only. They send no gradient through an adapter's output that is
 * still zero.
 *
 * @example
 * ```ts
 * import {ZeroRouter} from '@tfjs-peft/routers';
 *
 * const router = new ZeroRouter({type: 'zero', experts: 4, nGram: 8, causal: true});
 * ```
 */
export class ZeroRouter implements Router {
  readonly experts: number;
  readonly needs: RouterNeeds;
  readonly normalized = true;
  readonly hasLoss: boolean;
  private readonly config: Required<Omit<ZeroRouterConfig, 'maxActive'>> & {maxActive?: number};

  /**
   * @throws ConfigError if an option is unknown or out of range, or `causal` is set and a token would see
   * later ones.
   */
  constructor(config: ZeroRouterConfig) {
    const what = 'zero router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts);
    const form = checkChoice(what, 'form', config.form, FORMS);
    const code = form === 'code';
    const causal = checkBoolean(what, 'causal', config.causal, false);
    const unit = {min: 0, max: 1};
    this.experts = experts;
    this.config = {
      type: 'zero',
      experts,
      form,
      temperature: checkPositive(what, 'temperature', config.temperature, 0.5),
      gamma: checkNumber(what, 'gamma', config.gamma, {...unit, fallback: 0.7}),
      stream: checkChoice(what, 'stream', config.stream, ['base', 'sum'] as const),
      normalizer: checkChoice(what, 'normalizer', config.normalizer, NORMALIZERS, code ? 'batch' : 'token'),
      selection: checkChoice(what, 'selection', config.selection, SELECTIONS, code ? 'auto-sigmoid' : 'auto'),
      theta: checkNumber(what, 'theta', config.theta, {...unit, fallback: 0.7}),
      topK: checkCount(what, 'topK', config.topK, {max: experts, fallback: 1}),
      ...(config.maxActive !== undefined && {
        maxActive: checkCount(what, 'maxActive', config.maxActive, {max: experts}),
      }),
      sharpness: checkPositive(what, 'sharpness', config.sharpness, 0.5),
      nGram: checkInteger(what, 'nGram', config.nGram, {fallback: 1}),
      anchor: checkChoice(what, 'anchor', config.anchor, ANCHORS, causal ? 'previous' : 'last'),
      causal,
      jitter: checkNumber(what, 'jitter', config.jitter, {...unit, fallback: 0}),
      importance: checkNumber(what, 'importance', config.importance, {min: 0, fallback: 0}),
      divergence: checkNumber(what, 'divergence', config.divergence, {min: 0, fallback: 0}),
    };
    if (causal && this.config.anchor === 'last') {
      throw new ConfigError(
        `${what}: causal is true, but anchor 'last' lets the earlier tokens of a window see its last one. ` +
          "Set anchor: 'previous' or causal: false.",
      );
    }
    if (causal && this.config.normalizer === 'batch') {
      throw new ConfigError(
        `${what}: causal is true, but normalizer 'batch' lets every token see all others. ` +
          "Set normalizer: 'token' or causal: false.",
      );
    }
    this.needs = {base: experts, delta: experts};
    this.hasLoss = this.config.importance > 0 || this.config.divergence > 0;
  }

  build(): void {}

  /** @throws ConfigError if the view has no `base` or no `delta`. */
  route({base, delta, training, withLoss: wanted = training, context}: RouterView): Routing {
    if (base === undefined || delta === undefined) {
      throw new ConfigError(
        "zero router: it needs the frozen output and the adapter's own output, which this adapter does not " +
          'provide. Use it with a lime adapter.',
      );
    }
    const {form, stream, nGram, anchor, jitter, normalizer} = this.config;
    return tf.tidy(() => {
      const withLoss = training && wanted && this.hasLoss;
      const adapted = withLoss ? calmStream(delta, normalizer) : delta;
      const frozen = stream === 'sum' ? tf.add(base, adapted) : base;
      const length = base.rank > 2 ? base.shape[base.rank - 2]! : 1;
      const window = Math.min(nGram, length);
      const windowed = window > 1;
      // The released code decides by position and ignores the mask.
      const mask = form === 'paper' ? context?.mask : undefined;
      const streams = [frozen, adapted].map((t) => (windowed ? anchorsOf(t, window, anchor, mask) : t));
      const [left, right] = streams as [tf.Tensor, tf.Tensor];
      let noise: tf.Tensor | undefined;
      if (training && jitter > 0) {
        noise = jitterOf('zero router', jitter, context, left.shape);
      }
      const {p, ...chosen} = decide(left, right, this.config, noise);
      const spread = (tensor: tf.Tensor) => (windowed ? spreadOver(tensor, window, length) : tensor);
      const [probabilities, gates] = [spread(p), spread(chosen.gates)];
      const selected = chosen.selected && spread(chosen.selected);
      return {
        probabilities,
        gates,
        ...(selected && {selected}),
        ...(withLoss && {loss: this.loss(probabilities, context?.mask)}),
      };
    });
  }

  private loss(probabilities: tf.Tensor, mask: tf.Tensor | undefined): tf.Tensor {
    const {importance, divergence} = this.config;
    const usage = meanUsage(probabilities, mask);
    const terms: tf.Tensor[] = [];
    if (importance > 0) terms.push(tf.mul(importanceLoss(usage), importance));
    if (divergence > 0) terms.push(tf.mul(usageDivergence(usage), divergence));
    return terms.length === 1 ? terms[0]! : tf.addN(terms);
  }

  getConfig(): ZeroRouterConfig {
    return {...this.config};
  }
}

defineRouter({
  type: 'zero',
  summary: "LiME's, without parameters; for `lime`",
  options: OPTIONS,
  examples: [
    {type: 'zero'},
    {type: 'zero', form: 'code'},
    {type: 'zero', importance: 0.1, divergence: 0.1, nGram: 2, jitter: 0.1},
    {type: 'zero', selection: 'top-k-sigmoid', topK: 2},
  ],
  create: (config) => new ZeroRouter(config),
});

declare module '../../router.js' {
  interface RouterConfigs {
    zero: ZeroRouterConfig;
  }
}
