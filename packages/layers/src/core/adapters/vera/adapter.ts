import type {Tensor, Tensor1D, Tensor2D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkBoolean,
  checkCount,
  checkInteger,
  checkNumber,
  checkOptions,
  type Weight,
} from '@tfjs-peft/routers';
import type {Adapter, AdapterView, SiteDims} from '../adapter.js';
import {defineAdapter} from '../registry.js';

/** Config of {@link VeraAdapter}. */
export interface VeraConfig {
  type: 'vera';
  /**
   * Columns of A. They cost a trained number each, so there are more than in LoRA. Default 256, as in PEFT.
   */
  rank?: number;
  /** What the entries of d start from. Default 0.1, as in PEFT. */
  dInitial?: number;
  /** Seed of the random matrices, a whole number from 0. Default 0, as in PEFT. */
  projectionPrngKey?: number;
  /**
   * Store the random matrices in the adapter's file too, once, so that it does not depend on our generator of
   * random numbers. Default false; PEFT's default is true.
   */
  saveProjection?: boolean;
}

const OPTIONS = ['rank', 'dInitial', 'projectionPrngKey', 'saveProjection'] as const;

/**
 * VeRA (Kopiczko et al., arXiv 2310.11454, equation 2): y = act(x W + bias + b ∘ ((d ∘ (x A)) B)), with
 * random matrices A and B that are frozen. All sites share them: each uses the leading part that it needs, as
 * in PEFT. Each site trains two vectors.
 *
 * Weights: `vera_lambda_d` d [rank] from `dInitial`, and `vera_lambda_b` b [outputDim] zeros, so the site
 * starts unchanged. Shared: `vera_A` [inputDim, rank] and `vera_B` [rank, outputDim] of the largest site,
 * from He's uniform distribution. A file has them, once, with `saveProjection` alone; then `model.save` of a
 * LayersModel, whose layers know nothing of each other, has each site's part of them.
 *
 * @example
 * ```ts
 * import {VeraAdapter} from '@tfjs-peft/layers';
 *
 * const adapter = new VeraAdapter({type: 'vera', rank: 64});
 * ```
 */
export class VeraAdapter implements Adapter {
  readonly type = 'vera';
  private readonly config: Required<VeraConfig>;
  private a!: Weight;
  private b!: Weight;
  private lambdaD!: Weight;
  private lambdaB!: Weight;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: VeraConfig) {
    const what = 'vera adapter';
    checkOptions(what, config, ['type', ...OPTIONS]);
    this.config = {
      type: 'vera',
      rank: checkCount(what, 'rank', config.rank, {fallback: 256}),
      dInitial: checkNumber(what, 'dInitial', config.dInitial, {fallback: 0.1}),
      projectionPrngKey: checkInteger(what, 'projectionPrngKey', config.projectionPrngKey, {
        min: 0,
        fallback: 0,
      }),
      saveProjection: checkBoolean(what, 'saveProjection', config.saveProjection, false),
    };
  }

  build({inputDim, outputDim}: SiteDims, add: AddWeight): void {
    const {rank, dInitial, projectionPrngKey: seed, saveProjection} = this.config;
    const sharing = saveProjection ? 'shared-saved' : 'shared';
    this.a = add('vera_A', [inputDim, rank], {type: 'heUniform', seed}, sharing);
    this.b = add('vera_B', [rank, outputDim], {type: 'heUniform', seed}, sharing);
    this.lambdaD = add('vera_lambda_d', [rank], {type: 'constant', value: dInitial});
    this.lambdaB = add('vera_lambda_b', [outputDim], {type: 'zeros'});
  }

  parts({project}: AdapterView): CombineParts {
    const {h} = project({a: this.a.read() as Tensor2D});
    return {
      h: tf.mul(h, this.lambdaD.read()) as Tensor,
      b: this.b.read() as Tensor2D,
      beta: this.lambdaB.read() as Tensor1D,
    };
  }

  getConfig(): VeraConfig {
    return {...this.config};
  }
}

defineAdapter({
  type: 'vera',
  summary: 'act(x W + b + b_v ∘ ((d ∘ (x A)) B)), A and B random, frozen and the same for all sites',
  options: OPTIONS,
  learningRate: 1e-2,
  examples: [{type: 'vera', rank: 3}],
  create: (config) => new VeraAdapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    vera: VeraConfig;
  }
}
