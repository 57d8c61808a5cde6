import {checkOptions} from '@tfjs-peft/kernels';
import {defineFormat} from '../define-format.js';
import type {Codes, Grid, WeightFormat} from '../format.js';
import {makeGrid} from '../matrix.js';
import {checkGroup, type Group} from '../units.js';
import {checkScales, storedScale} from './integer.js';

/** NormalFloat4: 16 numbers that a normal distribution uses equally often. */
export interface Nf4Config {
  type: 'nf4';
  /**
   * Which weights share a scale. Default 64 rows of a column. bitsandbytes' own blocks are `{flat: 64}`;
   * where the rows are a multiple of 64, they are the same.
   */
  group?: Group;
  /** How scales are stored. Default `'f32'`. */
  scales?: 'f32' | 'f16';
}

/** Quantiles of a normal distribution, scaled to [-1, 1], with an exact zero (QLoRA, appendix E). */
const CODEBOOK = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);
const MIDPOINTS = Float64Array.from({length: 15}, (_, i) => (CODEBOOK[i]! + CODEBOOK[i + 1]!) / 2);

const OPTIONS = ['group', 'scales'] as const;

/**
 * NF4 (QLoRA, Dettmers et al., arXiv 2305.14314): w = max|unit| · codebook[code], the nearest of 16 quantiles
 * of a normal distribution. Weights stay within 0.152 of the unit's largest.
 *
 * @example
 * ```ts
 * import {Nf4Format} from '@tfjs-peft/quant';
 *
 * const format = new Nf4Format({type: 'nf4', group: 64});
 * ```
 */
export class Nf4Format implements WeightFormat {
  readonly bits = 4;
  readonly values = 'codebook';
  readonly codebook = CODEBOOK;
  readonly zero = 'none';
  readonly group: Group;
  readonly scales: 'f32' | 'f16';

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: Nf4Config) {
    const what = 'nf4 format';
    const given = checkOptions(what, config, ['type', ...OPTIONS]);
    this.group = checkGroup(what, given.group, 64);
    this.scales = checkScales(what, given.scales);
  }

  fit(low: number, high: number): Grid {
    return makeGrid(storedScale('nf4 format', Math.max(-low, high, 0), this.scales), 0);
  }

  encode(weights: Float64Array, {scale}: Grid, codes: Codes, inRange?: Uint8Array): void {
    for (let i = 0; i < weights.length; i++) {
      // A unit of zeros has scale 0, and the code of zero.
      const share = scale === 0 ? 0 : weights[i]! / scale;
      let code = 0;
      for (let half = 8; half >= 1; half /= 2) if (share > MIDPOINTS[code + half - 1]!) code += half;
      codes[i] = code;
      if (inRange) inRange[i] = Number(Math.abs(share) <= 1);
    }
  }

  slopes(low: number, high: number): readonly [number, number] {
    return -low > high ? [-1, 0] : [0, 1];
  }

  getConfig(): Required<Nf4Config> {
    return {type: 'nf4', group: this.group, scales: this.scales};
  }
}

defineFormat({
  type: 'nf4',
  summary: 's · one of 16 quantiles of a normal distribution',
  options: OPTIONS,
  examples: [{type: 'nf4'}, {type: 'nf4', group: {flat: 64}}, {type: 'nf4', group: 5, scales: 'f16'}],
  create: (config) => new Nf4Format(config),
});

declare module '../format.js' {
  interface FormatConfigs {
    nf4: Nf4Config;
  }
}
