import {checkOptions} from '@tfjs-peft/kernels';
import {defineQuantizer} from '../define-quantizer.js';
import type {WeightFormat} from '../format.js';
import {checkWeights, emptyCodes, emptyMatrix, type QuantizedMatrix, setGrid, unitsOf} from '../matrix.js';

/** Each weight becomes the nearest code of its unit's grid. */
export interface NearestConfig {
  type: 'nearest';
}

/** The smallest and the largest of some weights. */
export function rangeOf(weights: Float64Array): [low: number, high: number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!;
    if (weight < low) low = weight;
    if (weight > high) high = weight;
  }
  return [low, high];
}

/**
 * Quantises a matrix unit by unit: the format's grid over the unit's range, then the nearest codes.
 *
 * @param weights Row-major [dIn · dOut].
 * @throws ConfigError if a weight is not finite; ShapeError if `weights` do not fill `shape`.
 * @example
 * ```ts
 * import {createFormat, quantizeNearest} from '@tfjs-peft/quant';
 *
 * const {codes, scale} = quantizeNearest([0.5, -1, 2, 3], [2, 2], createFormat('int4'));
 * ```
 */
export function quantizeNearest(
  weights: ArrayLike<number>,
  shape: readonly [number, number],
  format: WeightFormat,
): QuantizedMatrix {
  checkWeights('quantize', weights, shape);
  const matrix = emptyMatrix(shape, format);
  const units = unitsOf(matrix);
  const values = new Float64Array(units.largest);
  const codes = emptyCodes(format, units.largest);
  for (let unit = 0; unit < units.count; unit++) {
    const count = units.gather(weights, unit, values);
    const own = values.subarray(0, count);
    const grid = format.fit(...rangeOf(own));
    format.encode(own, grid, codes);
    units.scatter(codes, unit, matrix.codes);
    setGrid(matrix, unit, grid);
  }
  return matrix;
}

defineQuantizer({
  type: 'nearest',
  summary: 'the nearest code of a grid from the smallest to the largest weight',
  options: [],
  examples: [{type: 'nearest'}],
  create(config) {
    checkOptions('nearest quantizer', config, ['type']);
    return {
      quantize: ({weights, shape, format}) => quantizeNearest(weights, shape, format),
      getConfig: () => ({type: 'nearest'}),
    };
  },
});

declare module '../quantizer.js' {
  interface QuantizerConfigs {
    nearest: NearestConfig;
  }
}
