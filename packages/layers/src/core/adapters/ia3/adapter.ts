import type {Tensor1D} from '@tensorflow/tfjs-core';
import type {CombineParts} from '@tfjs-peft/kernels';
import {type AddWeight, checkChoice, checkOptions, type Weight} from '@tfjs-peft/routers';
import type {Adapter, SiteDims} from '../adapter.js';
import {defineAdapter} from '../registry.js';
import {SCALE_POSITIONS, type ScalePosition, scaledAt} from '../scaling.js';

/** Config of {@link Ia3Adapter}. */
export interface Ia3Config {
  type: 'ia3';
  /** Default `after-activation`. */
  position?: ScalePosition;
}

const OPTIONS = ['position'] as const;

/**
 * (IA)³ (Liu et al., arXiv 2205.05638) rescales the output by a learned vector, y = l ∘ act(x W + b). Weight
 * `scaling` [outputDim], ones, so the site starts unchanged.
 *
 * @example
 * ```ts
 * import {Ia3Adapter} from '@tfjs-peft/layers';
 *
 * const adapter = new Ia3Adapter({type: 'ia3'});
 * ```
 */
export class Ia3Adapter implements Adapter {
  readonly type = 'ia3';
  readonly scalesOnly = true;
  private readonly position: ScalePosition;
  private scaling!: Weight;

  /** @throws ConfigError if an option or the position is unknown. */
  constructor(config: Ia3Config) {
    checkOptions('ia3 adapter', config, ['type', ...OPTIONS]);
    this.position = checkChoice('ia3 adapter', 'position', config.position, SCALE_POSITIONS);
  }

  build({outputDim}: SiteDims, add: AddWeight): void {
    this.scaling = add('scaling', [outputDim], {type: 'ones'});
  }

  parts(): CombineParts {
    return scaledAt(this.position, this.scaling.read() as Tensor1D);
  }

  getConfig(): Ia3Config {
    return {type: 'ia3', position: this.position};
  }
}

defineAdapter({
  type: 'ia3',
  summary: 'l ∘ act(x W + b)',
  options: OPTIONS,
  learningRate: 0.01,
  examples: [{type: 'ia3'}],
  create: (config) => new Ia3Adapter(config),
});

declare module '../adapter.js' {
  interface AdapterConfigs {
    ia3: Ia3Config;
  }
}
