import type {Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {type CombineParts, ConfigError} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkChoice,
  checkCount,
  checkOptions,
  FORMS,
  type Form,
  type Router,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {defineAdapter} from '../registry.js';
import {type AdapterRouterConfig, configOf, routeAt, routerOf} from '../router-of.js';
import {SCALE_POSITIONS, type ScalePosition, scaledAt} from '../scaling.js';

/** Config of {@link MovAdapter}. */
export interface MovConfig {
  type: 'mov';
  /** Default 4. */
  experts?: number;
  /** Default `after-activation`. */
  position?: ScalePosition;
  /**
   * Input of the router: the site's input (`paper`), or the output before rescaling (`code`). Default
   * `paper`.
   */
  form?: Form;
  /** With form `code`: number of equal parts of the output that one router routes separately. Default 1. */
  heads?: number;
  /** Default `{type: 'softmax'}`, which merges all experts softly. */
  router?: AdapterRouterConfig;
}

const OPTIONS = ['experts', 'position', 'form', 'heads', 'router'] as const;

/**
 * MoV, a mixture of (IA)³ vectors (Zadouri et al., arXiv 2309.05444): y = (Σ_e g_e(x) l_e) ∘ act(x W + b),
 * with gates g from a router that reads the site's input, as the paper's W_g of width d_m implies.
 *
 * `form: 'code'` follows the released code (for-ai/parameter-efficient-moe, src/mov.py): the router reads the
 * vector before rescaling, act(x W + b). At T5's keys and values, set `heads` to the number of heads: one
 * router of the head's width then routes each head separately. At the hidden vector of a feed-forward block,
 * leave it at 1.
 *
 * Weights: `scaling` [experts, outputDim], ones, and those of the router. MoV starts as the identity if the
 * gates sum to 1; with `topK`, they do so only if `renormalize` is set.
 *
 * @example
 * ```ts
 * import {MovAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new MovAdapter({type: 'mov', experts: 4});
 * ```
 */
export class MovAdapter implements Adapter {
  readonly type = 'mov';
  readonly scalesOnly = true;
  readonly hasLoss: boolean;
  readonly reads: 'input' | 'output';
  private readonly position: ScalePosition;
  private readonly form: Form;
  private readonly heads: number;
  private readonly router: Router;
  private scaling!: Weight;

  /**
   * @throws ConfigError if an option is unknown or out of range, `heads` or `position` is not allowed with
   * the form, or the router's config is invalid, such as topK above experts.
   */
  constructor(config: MovConfig) {
    const what = 'mov adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    const experts = checkCount(what, 'experts', config.experts, {fallback: 4});
    this.position = checkChoice(what, 'position', config.position, SCALE_POSITIONS);
    this.form = checkChoice(what, 'form', config.form, FORMS);
    this.heads = checkCount(what, 'heads', config.heads, {fallback: 1});
    if (this.form === 'paper' && this.heads > 1) {
      throw new ConfigError(
        `${what}: heads needs form 'code', whose router reads the output. Set form: 'code', or leave out ` +
          'heads.',
      );
    }
    if (this.form === 'code' && this.position === 'before-activation') {
      throw new ConfigError(
        `${what}: form 'code' always acts after the activation. Leave out position, or set form: 'paper'.`,
      );
    }
    this.reads = this.form === 'code' ? 'output' : 'input';
    this.router = routerOf(what, experts, config.router);
    if (this.form === 'code' && this.router.needs?.base) {
      throw new ConfigError(
        `${what}: this router reads the frozen output, which form 'code' does not provide. ` +
          "Set form: 'paper', or another router.",
      );
    }
    this.hasLoss = this.router.hasLoss ?? false;
  }

  get tasks(): number | undefined {
    return this.router.tasks;
  }

  /** @throws ConfigError if `heads` does not divide the output. */
  build({inputDim, outputDim, routerDim = inputDim}: SiteDims, add: AddWeight): void {
    if (outputDim % this.heads !== 0) {
      throw new ConfigError(
        `mov adapter: heads is ${this.heads}, which does not divide the site's ${outputDim} columns. ` +
          `Set heads to a divisor of ${outputDim}.`,
      );
    }
    this.scaling = add('scaling', [this.router.experts, outputDim], {type: 'ones'});
    this.router.build(this.form === 'code' ? outputDim / this.heads : routerDim, add);
  }

  parts(view: AdapterView): CombineParts {
    const table = this.scaling.read() as Tensor2D;
    if (this.heads === 1) {
      const {gates} = routeAt(this.router, view);
      return scaledAt(this.position, {gates, table});
    }
    const {gates} = routeAt(this.router, this.byHead(view));
    return {post: {gates, table, heads: this.heads}};
  }

  /** The view with an axis for the heads before the last one, [..., heads, width]. */
  private byHead(view: AdapterView): AdapterView {
    const lead = view.input.shape.slice(0, -1);
    const input = tf.reshape(view.input, [...lead, this.heads, -1]);
    const mask = view.context?.mask;
    if (mask === undefined) return {...view, input};
    const repeated = tf.mul(tf.expandDims(mask, -1), tf.ones([...lead, this.heads]));
    return {...view, input, context: {...view.context, mask: repeated}};
  }

  getConfig(): MovConfig {
    return {
      type: 'mov',
      experts: this.router.experts,
      position: this.position,
      form: this.form,
      heads: this.heads,
      router: configOf(this.router),
    };
  }
}

defineAdapter({
  type: 'mov',
  summary: '(Σ g_e l_e) ∘ act(x W + b)',
  options: OPTIONS,
  learningRate: 0.01,
  examples: [
    {type: 'mov', experts: 3},
    {type: 'mov', experts: 2, form: 'code'},
  ],
  create: (config) => new MovAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    mov: MovConfig;
  }
}
