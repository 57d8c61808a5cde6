import {ConfigError, checkInteger, describe, ShapeError} from '@tfjs-peft/kernels';

/** Widths up to which X^T X, in float64, is at most 2 GiB. */
const WIDEST = 16_384;

/**
 * What quantisers know of a layer's inputs x: the sum of x^T x over all rows that were added, in float64. It
 * is the Hessian of a layer's squared error by each column of its weights, times a factor (GPTQ, eq. 2).
 *
 * @example
 * ```ts
 * import {Calibration} from '@tfjs-peft/quant';
 *
 * const calibration = new Calibration(3);
 * calibration.add([1, 2, 3, 4, 5, 6]); // two rows
 * console.log(calibration.rows); // 2
 * ```
 */
export class Calibration {
  /** x^T x, row-major [width · width], of all rows so far. */
  readonly product: Float64Array;
  private count = 0;

  /**
   * @param width The layer's input width, dIn.
   * @throws ConfigError unless `width` is an integer from 1 to 16384.
   */
  constructor(readonly width: number) {
    checkInteger('calibration', 'width', width, {max: WIDEST});
    this.product = new Float64Array(width * width);
  }

  /** The number of rows that were added. */
  get rows(): number {
    return this.count;
  }

  /**
   * Adds inputs, row-major [rows · width].
   *
   * @throws ShapeError if they are no whole rows; ConfigError if one is not finite.
   */
  add(inputs: ArrayLike<number>): void {
    const {width, product} = this;
    if (inputs.length === 0 || inputs.length % width !== 0) {
      throw new ShapeError(
        `calibration: ${inputs.length} inputs are no whole rows of width ${width}. Pass rows · ${width} values.`,
      );
    }
    this.checkFinite(inputs);
    for (let first = 0; first < inputs.length; first += width) {
      for (let i = 0; i < width; i++) {
        const x = inputs[first + i]!;
        if (x === 0) continue;
        const row = i * width;
        for (let j = 0; j <= i; j++) product[row + j]! += x * inputs[first + j]!;
      }
    }
    this.mirror();
    this.count += inputs.length / width;
  }

  /**
   * Adds rows of which x^T x is known already, as from `tf.matMul(x, x, true)`.
   *
   * @param product Row-major [width · width], symmetric but for rounding; its lower triangle is read.
   * @param rows The number of rows of x.
   * @throws ShapeError if it has another size; ConfigError if a value is not finite, or `rows` is no count.
   */
  addProduct(product: ArrayLike<number>, rows: number): void {
    const {width} = this;
    if (product.length !== width * width) {
      throw new ShapeError(
        `calibration: the product has ${product.length} values. Pass x^T x, ${width} · ${width} values.`,
      );
    }
    checkInteger('calibration', 'rows', rows);
    this.checkFinite(product);
    for (let i = 0; i < width; i++) {
      for (let j = 0; j <= i; j++) this.product[i * width + j]! += product[i * width + j]!;
    }
    this.mirror();
    this.count += rows;
  }

  private checkFinite(values: ArrayLike<number>): void {
    for (let i = 0; i < values.length; i++) {
      if (Number.isFinite(values[i])) continue;
      throw new ConfigError(
        `calibration: value ${i} is ${describe(values[i])}. Leave out inputs that are not finite.`,
      );
    }
  }

  private mirror(): void {
    const {width, product} = this;
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < i; j++) product[j * width + i] = product[i * width + j]!;
    }
  }
}
