import type {Tensor2D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkChoice,
  checkInteger,
  checkOptions,
  type Router,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {POSITIONS, type Position, scaledAt} from '../position.js';
import {type AdapterRouterConfig, configOf, routeAt, routerOf} from '../router-of.js';

/** Config of {@link MovAdapter}. */
export interface MovConfig {
  type: 'mov';
  /** Default 4. */
  experts?: number;
  /** Default `after-activation`. */
  position?: Position;
  /** Default `{type: 'softmax'}`, which merges all experts softly. */
  router?: AdapterRouterConfig;
}

/** The options that {@link MovConfig} knows. */
export const MOV_OPTIONS = ['type', 'experts', 'position', 'router'] as const;

/**
 * MoV, a mixture of (IA)³ vectors (Zadouri et al., arXiv 2309.05444): y = (Σ_e g_e(x) l_e) ∘ act(x W + b), with gates g from a
 * router that reads the site's input, as the paper's W_g of width d_m implies. (The released code routes on the vector that is about
 * to be rescaled; that form belongs to other sites than a Dense layer's.)
 *
 * Weights: `scaling` [experts, outputDim], ones, and the router's. It starts as the identity if the gates sum to 1, so not with
 * `topK` unless `renormalize` is set.
 */
export class MovAdapter implements Adapter {
  readonly type = 'mov';
  readonly hasLoss: boolean;
  private readonly position: Position;
  private readonly router: Router;
  private scaling!: Weight;

  /**
   * @throws ConfigError if an option is unknown, experts is not an integer >= 1, the position is unknown, or the router's config is
   * not good, such as topK above experts.
   */
  constructor(config: MovConfig) {
    const what = 'mov adapter';
    checkOptions(what, config, MOV_OPTIONS);
    const experts = checkInteger(what, 'experts', config.experts, {fallback: 4});
    this.position = checkChoice(what, 'position', config.position, POSITIONS);
    this.router = routerOf(what, experts, config.router);
    this.hasLoss = this.router.hasLoss ?? false;
  }

  build({inputDim, outputDim}: SiteDims, add: AddWeight): void {
    this.scaling = add('scaling', [this.router.experts, outputDim], {type: 'ones'});
    this.router.build(inputDim, add);
  }

  parts(view: AdapterView): CombineParts {
    const {gates} = routeAt(this.router, view);
    return scaledAt(this.position, {gates, table: this.scaling.read() as Tensor2D});
  }

  getConfig(): MovConfig {
    return {
      type: 'mov',
      experts: this.router.experts,
      position: this.position,
      router: configOf(this.router),
    };
  }
}
