import type {Tensor, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {
  blendGates,
  type CombineParts,
  ConfigError,
  matMul,
  ShapeError,
  softmaxGates,
} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkBoolean,
  checkChoice,
  checkCount,
  checkOptions,
  checkPositive,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {addFactors, kaiming} from '../low-rank.js';
import {defineAdapter} from '../registry.js';

/** Config of {@link Mor1eAdapter}. */
export interface Mor1eConfig {
  type: 'mor1e';
  /** `flex`: r1 · r2 experts of r1 + r2 vectors; `1v1`: rank experts of 2 · rank vectors. Default `flex`. */
  mode?: 'flex' | '1v1';
  /** Down vectors of `flex`. Default 4. */
  r1?: number;
  /** Up vectors of `flex`. Default 8. */
  r2?: number;
  /** Experts of `1v1`. Default 32. */
  rank?: number;
  /** Mix in each sample's scores from the context's `intuition`. Default true. */
  intuition?: boolean;
  /** Mix in a softmax over the experts that reads the site's input. Default true. */
  tokenGate?: boolean;
  /**
   * Factor of the softmax. Default: the number of experts, so every expert starts at 1; the released code
   * always uses 32.
   */
  tokenFactor?: number;
  /** Factor of the scores. Default 4, as in the released code. */
  intuitionFactor?: number;
  /** Number of scores, which a learned matrix maps to the experts. Default: no map, one score per expert. */
  clusters?: number;
}

const OPTIONS = [
  'mode',
  'r1',
  'r2',
  'rank',
  'intuition',
  'tokenGate',
  'tokenFactor',
  'intuitionFactor',
  'clusters',
] as const;

/** How fast the two scalars move their sigmoids, as in the released code. */
const LOGIT_SCALE = 100;

/**
 * Intuition-MoR1E, also called T-REX (arXiv 2404.08985; code RoyZry98/T-REX-Pytorch): a mixture of rank-one
 * experts,
 *
 *     y = act(x W + b + g · Σ_ij G_ij (x a_i) b_j),   G = ω · f · softmax(x R) + (1 - ω) · 4 · c
 *
 * with ω and g the sigmoids of 100 times a learned scalar each, c the sample's intuition, and f the number of
 * experts. In mode `1v1` expert i is a_i b_i. Weights: `lora_A` [inputDim, r1] from U(±1/√inputDim), `lora_B`
 * [r2, outputDim] zeros, so that the site starts unchanged; `router` R [inputDim, E] zeros, `omega` and
 * `gate` [1] zeros; with `clusters`, `mapper` [clusters, E] from U(±1/√clusters), which is trained (the
 * released code leaves it at random). Without intuition the first term keeps its ω.
 *
 * @example
 * ```ts
 * import {Mor1eAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new Mor1eAdapter({type: 'mor1e', r1: 4, r2: 8, intuition: false});
 * ```
 */
export class Mor1eAdapter implements Adapter {
  readonly type = 'mor1e';
  private readonly config: Mor1eConfig;
  private readonly experts: number;
  private readonly ranks: [number, number];
  private readonly tokenFactor: number;
  private readonly intuitionFactor: number;
  private a!: Weight;
  private b!: Weight;
  private router?: Weight;
  private mapper?: Weight;
  private omega!: Weight;
  private gate!: Weight;

  /**
   * @throws ConfigError if an option is unknown, out of range or of the other mode, or neither gate is left.
   */
  constructor(config: Mor1eConfig) {
    const what = 'mor1e adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    const mode = checkChoice(what, 'mode', config.mode, ['flex', '1v1'] as const);
    for (const option of mode === 'flex' ? (['rank'] as const) : (['r1', 'r2'] as const)) {
      if (config[option] !== undefined) {
        throw new ConfigError(`${what}: ${option} is not an option of mode '${mode}'. Leave it out.`);
      }
    }
    const rank = checkCount(what, 'rank', config.rank, {fallback: 32});
    this.ranks =
      mode === 'flex'
        ? [checkCount(what, 'r1', config.r1, {fallback: 4}), checkCount(what, 'r2', config.r2, {fallback: 8})]
        : [rank, rank];
    this.experts = mode === 'flex' ? this.ranks[0] * this.ranks[1] : rank;
    const intuition = checkBoolean(what, 'intuition', config.intuition, true);
    const tokenGate = checkBoolean(what, 'tokenGate', config.tokenGate, true);
    if (!intuition && !tokenGate) {
      throw new ConfigError(
        `${what}: intuition and tokenGate are both false, so there are no gates. Set one of them to true.`,
      );
    }
    if (!intuition && config.clusters !== undefined) {
      throw new ConfigError(
        `${what}: clusters needs the intuition, but intuition is false. Leave out clusters, or set ` +
          'intuition: true.',
      );
    }
    this.tokenFactor = checkPositive(what, 'tokenFactor', config.tokenFactor, this.experts);
    this.intuitionFactor = checkPositive(what, 'intuitionFactor', config.intuitionFactor, 4);
    this.config = {
      type: 'mor1e',
      mode,
      ...(mode === 'flex' ? {r1: this.ranks[0], r2: this.ranks[1]} : {rank}),
      intuition,
      tokenGate,
      tokenFactor: this.tokenFactor,
      intuitionFactor: this.intuitionFactor,
      ...(config.clusters !== undefined && {clusters: checkCount(what, 'clusters', config.clusters)}),
    };
  }

  build(dims: SiteDims, add: AddWeight): void {
    const {tokenGate, clusters} = this.config;
    const [down, up] = this.ranks;
    ({a: this.a, b: this.b} = addFactors(add, dims, {down, up, random: kaiming(dims.inputDim)}));
    const width = dims.routerDim ?? dims.inputDim;
    if (tokenGate) this.router = add('router', [width, this.experts], {type: 'zeros'});
    if (clusters !== undefined) this.mapper = add('mapper', [clusters, this.experts], kaiming(clusters));
    this.omega = add('omega', [1], {type: 'zeros'});
    this.gate = add('gate', [1], {type: 'zeros'});
  }

  /** @throws ConfigError if the context has no intuition; ShapeError if its shape does not fit. */
  parts(view: AdapterView): CombineParts {
    const {input, project} = view;
    const {h} = project({a: this.a.read() as Tensor2D});
    const lead = input.shape.slice(0, -1);
    const rows = lead.reduce((product, size) => product * size, 1);
    const flat = (gates: Tensor): Tensor2D => tf.reshape(gates, [rows, this.experts]);
    let token: Tensor2D | undefined;
    if (this.router !== undefined) {
      const gates = softmaxGates(input, this.router.read() as Tensor2D);
      view.observe?.({gates, probabilities: gates});
      token = flat(gates);
    }
    const blended = blendGates({
      ...(token && {token}),
      ...(this.config.intuition && {sample: this.scores(view)}),
      share: this.omega.read(),
      gate: this.gate.read(),
      rows,
      slope: LOGIT_SCALE,
      tokenFactor: this.tokenFactor,
      sampleFactor: this.intuitionFactor,
    });
    const gates = tf.reshape(blended, [...lead, this.experts]);
    return {h, b: this.b.read() as Tensor2D, gates, mix: this.config.mode === 'flex' ? 'dense' : 'expert'};
  }

  /** c, a row for each sample or one for all, [batch or 1, E]. */
  private scores({input, context}: AdapterView): Tensor2D {
    const what = 'mor1e adapter';
    const scores = context?.intuition;
    if (scores === undefined) {
      throw new ConfigError(
        `${what}: the context of this batch has no intuition. ` +
          'Set one before the batch, peft.setContext({intuition}), or set intuition: false.',
      );
    }
    const width = this.config.clusters ?? this.experts;
    const batch = input.shape[0]!;
    if (
      scores.rank !== 2 ||
      scores.shape[1] !== width ||
      (scores.shape[0] !== batch && scores.shape[0] !== 1)
    ) {
      throw new ShapeError(
        `${what}: the intuition has shape [${scores.shape}], but must be [${batch}, ${width}] or [1, ` +
          `${width}] here. Pass one row of scores per sample.`,
      );
    }
    if (this.mapper === undefined) return scores as Tensor2D;
    return matMul(scores, this.mapper.read()) as Tensor2D;
  }

  getConfig(): Mor1eConfig {
    return {...this.config};
  }
}

defineAdapter({
  type: 'mor1e',
  summary: 'act(x W + b + s (x A) G(x) B), rank-one experts',
  options: OPTIONS,
  learningRate: 0.003,
  examples: [
    {type: 'mor1e', r1: 2, r2: 3, intuition: false},
    {type: 'mor1e', mode: '1v1', rank: 3, intuition: false},
  ],
  create: (config) => new Mor1eAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    mor1e: Mor1eConfig;
  }
}
