import {checkInteger, checkNumber, checkOptions} from '@tfjs-peft/kernels';
import {defineQuantizer} from '../define-quantizer.js';
import {decodeUnit, emptyCodes, emptyMatrix, type QuantizedMatrix, setGrid, unitsOf} from '../matrix.js';
import type {Quantizer, QuantizerInput} from '../quantizer.js';
import {requireGrid} from './grids.js';
import {rangeOf} from './nearest.js';

/** Of several shrunken ranges of each unit, the one whose codes are closest to the weights. */
export interface ClipConfig {
  type: 'clip';
  /** How many ranges are tried, at equal distances from the whole one to `smallest` of it. Default 50. */
  tries?: number;
  /** The smallest range, as a share of the whole one. Default 0.3. */
  smallest?: number;
}

const OPTIONS = ['tries', 'smallest'] as const;

/**
 * Min-max with a search of the clipping that gives each unit the least squared error. The usual baseline
 * beside GNP-IQ: as many tries cost as much.
 */
class ClipQuantizer implements Quantizer {
  private readonly tries: number;
  private readonly smallest: number;

  constructor(config: ClipConfig) {
    const what = 'clip quantizer';
    const given = checkOptions(what, config, ['type', ...OPTIONS]);
    this.tries = checkInteger(what, 'tries', given.tries, {max: 10_000, fallback: 50});
    this.smallest = checkNumber(what, 'smallest', given.smallest, {min: 0.001, max: 1, fallback: 0.3});
  }

  quantize({weights, shape, format}: QuantizerInput): QuantizedMatrix {
    requireGrid('clip quantizer', format);
    const matrix = emptyMatrix(shape, format);
    const units = unitsOf(matrix);
    const values = new Float64Array(units.largest);
    const decoded = new Float64Array(units.largest);
    for (let unit = 0; unit < units.count; unit++) {
      const count = units.gather(weights, unit, values);
      const own = values.subarray(0, count);
      const [low, high] = rangeOf(own);
      const codes = emptyCodes(format, count);
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < this.tries; i++) {
        const share = this.tries === 1 ? 1 : 1 - ((1 - this.smallest) * i) / (this.tries - 1);
        const grid = format.fit(low * share, high * share);
        format.encode(own, grid, codes);
        decodeUnit(format, grid, codes, decoded);
        let error = 0;
        for (let k = 0; k < count; k++) error += (own[k]! - decoded[k]!) ** 2;
        if (error >= least) continue;
        least = error;
        units.scatter(codes, unit, matrix.codes);
        setGrid(matrix, unit, grid);
      }
    }
    return matrix;
  }

  getConfig(): Required<ClipConfig> {
    return {type: 'clip', tries: this.tries, smallest: this.smallest};
  }
}

defineQuantizer({
  type: 'clip',
  summary: 'nearest on the best of `tries` shrunken ranges, unit by unit',
  options: OPTIONS,
  examples: [{type: 'clip'}, {type: 'clip', tries: 1}, {type: 'clip', tries: 7, smallest: 0.5}],
  create: (config) => new ClipQuantizer(config),
});

declare module '../quantizer.js' {
  interface QuantizerConfigs {
    clip: ClipConfig;
  }
}
