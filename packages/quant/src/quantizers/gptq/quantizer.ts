import {ConfigError, checkChoice, checkNumber, checkOptions, ShapeError} from '@tfjs-peft/kernels';
import type {Calibration} from '../../calibration.js';
import {defineQuantizer} from '../../define-quantizer.js';
import {decodeUnit, emptyCodes, gridOf, type QuantizedMatrix, setGrid, unitsOf} from '../../matrix.js';
import type {Quantizer, QuantizerInput} from '../../quantizer.js';
import {quantizeNearest} from '../nearest.js';
import {inverseFactor} from './inverse-factor.js';

/** Config of {@link GptqQuantizer}. */
export interface GptqConfig {
  type: 'gptq';
  /** Added to the diagonal of the Hessian, as a share of its mean. Default 0.01. */
  damping?: number;
  /**
   * The order in which a layer's inputs are coded: as they come, or those with the largest squares first.
   * With `'activation'`, all scales come from the original weights; with `'natural'`, those of a group of
   * rows from what errors of earlier rows have made of it. Default `'natural'`.
   */
  order?: 'natural' | 'activation';
}

const WHAT = 'gptq quantizer';
const OPTIONS = ['damping', 'order'] as const;
const ORDERS = ['natural', 'activation'] as const;

/** Rows whose errors are passed on to all later rows at once, for the sake of the cache. */
const BLOCK = 64;

/**
 * GPTQ (Frantar et al., arXiv 2210.17323, algorithm 1): inputs are coded one after the other, and the error
 * of each is made up for by those still to come, by the inverse of the Hessian H = 2 X^T X (eqs 2 and 3), so
 * that the layer's output changes least on the calibration inputs.
 *
 * An input that is always 0 in calibration is rounded to nearest, where the released code sets its weights to
 * 0.
 *
 * @example
 * ```ts
 * import {Calibration, quantize} from '@tfjs-peft/quant';
 *
 * const calibration = new Calibration(2);
 * calibration.add([1, 0.9, -1, -1.1, 0.5, 0.4]);
 * const packed = quantize([0.3, -0.2], [2, 1], 'int2', {quantizer: 'gptq', calibration});
 * ```
 */
export class GptqQuantizer implements Quantizer {
  readonly calibrated = true;
  private readonly damping: number;
  private readonly order: 'natural' | 'activation';

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: GptqConfig) {
    const given = checkOptions(WHAT, config, ['type', ...OPTIONS]);
    this.damping = checkNumber(WHAT, 'damping', given.damping, {min: 0, max: 1, fallback: 0.01});
    this.order = checkChoice(WHAT, 'order', given.order, ORDERS);
  }

  quantize({weights, shape, format, calibration}: QuantizerInput): QuantizedMatrix {
    const [rows, columns] = shape;
    const matrix = quantizeNearest(weights, shape, format);
    const {order, factor} = this.prepare(calibration, rows);
    const units = unitsOf(matrix);
    // Rows in the order in which they are coded, with the errors of those before them made up for.
    const rest = new Float64Array(rows * columns);
    order.forEach((row, at) => {
      for (let j = 0; j < columns; j++) rest[at * columns + j] = weights[row * columns + j]!;
    });
    const group = this.order === 'natural' && typeof format.group === 'number' ? format.group : rows;
    const errors = new Float64Array(BLOCK * columns);
    const [weight, decoded, code] = [new Float64Array(1), new Float64Array(1), emptyCodes(format, 1)];
    for (let start = 0, end: number; start < rows; start = end) {
      end = Math.min(start + BLOCK, rows, (Math.floor(start / group) + 1) * group);
      if (group < rows && start % group === 0) this.fitGroup(matrix, rest, start);
      for (let i = start; i < end; i++) {
        const error = errors.subarray((i - start) * columns, (i - start + 1) * columns);
        const pivot = factor[i * rows + i]!;
        for (let j = 0; j < columns; j++) {
          const grid = gridOf(matrix, units.unitAt(order[i]!, j));
          weight[0] = rest[i * columns + j]!;
          format.encode(weight, grid, code);
          decodeUnit(format, grid, code, decoded);
          matrix.codes[order[i]! * columns + j] = code[0]!;
          error[j] = (weight[0] - decoded[0]!) / pivot;
        }
        for (let later = i + 1; later < end; later++) {
          passOn(error, factor[i * rows + later]!, rest, later * columns);
        }
      }
      for (let later = end; later < rows; later++) {
        for (let i = start; i < end; i++) {
          const error = errors.subarray((i - start) * columns, (i - start + 1) * columns);
          passOn(error, factor[i * rows + later]!, rest, later * columns);
        }
      }
    }
    return matrix;
  }

  getConfig(): Required<GptqConfig> {
    return {type: 'gptq', damping: this.damping, order: this.order};
  }

  /** The order of the rows, and the factor of the inverse Hessian in that order. */
  private prepare(calibration: Calibration | undefined, rows: number) {
    if (calibration === undefined || calibration.rows === 0) {
      throw new ConfigError(
        `${WHAT}: there are no calibration inputs. Pass a Calibration to which inputs of the layer were added.`,
      );
    }
    const {width, product} = calibration;
    if (width !== rows) {
      throw new ShapeError(
        `${WHAT}: the calibration has width ${width}, but the weights have ${rows} rows. Pass inputs of this layer.`,
      );
    }
    const diagonal = Float64Array.from({length: rows}, (_, i) => product[i * rows + i]!);
    const mean = diagonal.reduce((sum, value) => sum + value, 0) / rows;
    if (mean === 0) {
      throw new ConfigError(`${WHAT}: all calibration inputs are 0. Pass inputs that the layer will see.`);
    }
    const order = Uint32Array.from({length: rows}, (_, i) => i);
    if (this.order === 'activation') order.sort((a, b) => diagonal[b]! - diagonal[a]! || a - b);
    const hessian = new Float64Array(rows * rows);
    for (let i = 0; i < rows; i++) {
      // A factor of all of H cancels out of the updates.
      for (let j = 0; j < rows; j++) hessian[i * rows + j] = product[order[i]! * rows + order[j]!]! / mean;
      hessian[i * rows + i]! += this.damping;
    }
    const factor = inverseFactor(hessian, rows);
    if (factor === undefined) {
      throw new ConfigError(
        `${WHAT}: the calibration inputs leave some weights undetermined with damping ${this.damping}. Set damping ` +
          'to 0.01, or add more inputs.',
      );
    }
    return {order, factor};
  }

  /** Lays grids over a group of rows as earlier errors have left it. */
  private fitGroup(matrix: QuantizedMatrix, rest: Float64Array, start: number): void {
    const {shape, format} = matrix;
    const [rows, columns] = shape;
    const end = Math.min(start + (format.group as number), rows);
    const units = unitsOf(matrix);
    for (let j = 0; j < columns; j++) {
      let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let i = start; i < end; i++) {
        low = Math.min(low, rest[i * columns + j]!);
        high = Math.max(high, rest[i * columns + j]!);
      }
      setGrid(matrix, units.unitAt(start, j), format.fit(low, high));
    }
  }
}

/** A row less the share of an earlier row's error. */
function passOn(error: Float64Array, share: number, rest: Float64Array, at: number): void {
  if (share === 0) return;
  for (let j = 0; j < error.length; j++) rest[at + j]! -= share * error[j]!;
}

defineQuantizer({
  type: 'gptq',
  summary: 'input by input, later weights making up for the errors of earlier ones (GPTQ)',
  options: OPTIONS,
  examples: [{type: 'gptq'}, {type: 'gptq', damping: 0.1, order: 'activation'}],
  create: (config) => new GptqQuantizer(config),
});

declare module '../../quantizer.js' {
  interface QuantizerConfigs {
    gptq: GptqConfig;
  }
}
