import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {
  Calibration,
  createFormat,
  dequantize,
  type FormatConfig,
  type GptqConfig,
  GptqQuantizer,
  quantize,
  toPacked,
} from '../../index.js';
import {meanSquare, normals} from '../../testing/numbers.js';
import {inverseFactor} from './inverse-factor.js';

/** Inputs of which neighbours have much in common, as activations have, of sizes that differ. */
function inputsOf(rows: number, width: number, seed: number): Float32Array {
  const noise = normals(rows * width, seed);
  const inputs = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let i = 0, last = 0; i < width; i++) {
      last = 0.9 * last + 0.44 * noise[row * width + i]!;
      inputs[row * width + i] = last * (1 + (i % 4));
    }
  }
  return inputs;
}

function outputs(
  inputs: Float32Array,
  weights: ArrayLike<number>,
  [width, columns]: readonly [number, number],
) {
  return Float64Array.from({length: (inputs.length / width) * columns}, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let i = 0; i < width; i++) sum += inputs[row * width + i]! * weights[i * columns + column]!;
    return sum;
  });
}

function calibrationOf(inputs: Float32Array, width: number): Calibration {
  const calibration = new Calibration(width);
  calibration.add(inputs);
  return calibration;
}

describe('on correlated inputs', () => {
  const shape = [160, 20] as const;
  const weights = normals(160 * 20, 1);
  const calibration = calibrationOf(inputsOf(400, 160, 2), 160);
  const held = inputsOf(64, 160, 3);
  const want = outputs(held, weights, shape);

  it.each<[FormatConfig, number]>([
    [{type: 'int8'}, 0.6],
    [{type: 'int4'}, 0.6],
    [{type: 'int4', group: 'channel', symmetric: true}, 0.6],
    [{type: 'int3', group: 64, offset: 'float', scales: 'f16'}, 0.6],
    [{type: 'int2'}, 0.8],
    [{type: 'nf4'}, 0.6],
  ])('%j: the output error on inputs held back is less than %d of that to nearest', (format, most) => {
    const plain = dequantize(quantize(weights, shape, format));
    const error = (config: GptqConfig) => {
      const decoded = dequantize(quantize(weights, shape, format, {quantizer: config, calibration}));
      // The weights themselves are further away: that is the price.
      expect(meanSquare(decoded, weights)).toBeGreaterThan(meanSquare(plain, weights));
      return meanSquare(outputs(held, decoded, shape), want);
    };
    const nearest = meanSquare(outputs(held, plain, shape), want);
    expect(error({type: 'gptq'})).toBeLessThan(most * nearest);
    expect(error({type: 'gptq', order: 'activation'})).toBeLessThan(most * nearest);
  });
});

/**
 * Optimal brain quantisation of rows in an order, from its definition: after each row, the weights still to
 * come get the least squares correction of the error, from the inverse of what is left of H (GPTQ, eqs 2 and
 * 3).
 */
function reference(
  weights: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  product: Float64Array,
  damping: number,
  order: number[],
  code: (row: number, column: number, rest: Float64Array) => number,
): Float64Array {
  const mean = order.reduce((sum, i) => sum + product[i * rows + i]!, 0) / rows;
  const rest = Float64Array.from(weights);
  const result = new Float64Array(rows * columns);
  order.forEach((row, at) => {
    const left = order.slice(at);
    const hessian = left.map((i) => left.map((j) => product[i * rows + j]! + (i === j ? damping * mean : 0)));
    const inverse = inverted(hessian);
    const before = rest.slice();
    for (let j = 0; j < columns; j++) {
      const value = code(row, j, before);
      result[row * columns + j] = value;
      const error = (before[row * columns + j]! - value) / inverse[0]![0]!;
      left.forEach((other, k) => {
        rest[other * columns + j]! -= error * inverse[0]![k]!;
      });
    }
  });
  return result;
}

/** By Gauss and Jordan. */
function inverted(matrix: number[][]): number[][] {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  for (let i = 0; i < size; i++) {
    const pivot = rows[i]![i]!;
    rows[i] = rows[i]!.map((value) => value / pivot);
    for (let k = 0; k < size; k++) {
      if (k === i) continue;
      const share = rows[k]![i]!;
      rows[k] = rows[k]!.map((value, j) => value - share * rows[i]![j]!);
    }
  }
  return rows.map((row) => row.slice(size));
}

describe('every weight is that of optimal brain quantisation', () => {
  // More rows than a block, and a group that is no part of one.
  const shape = [83, 3] as const;
  const weights = normals(83 * 3, 5);
  const calibration = calibrationOf(inputsOf(200, 83, 6), 83);
  const {product} = calibration;

  it.each<[GptqConfig['order'], FormatConfig]>([
    ['natural', {type: 'int3', group: 'channel'}],
    ['natural', {type: 'int3', group: 20}],
    ['natural', {type: 'int4', group: 70, symmetric: true}],
    ['activation', {type: 'int3', group: 20}],
    ['activation', {type: 'nf4', group: {flat: 32}}],
    ['natural', {type: 'int2', group: 'tensor'}],
  ])('order %s, %j', (order, config) => {
    const format = createFormat(config);
    const matrix = new GptqQuantizer({type: 'gptq', order: order!, damping: 0.02}).quantize({
      ...{weights, shape, format, calibration},
    });
    const [rows, columns] = shape;
    const places = Array.from({length: rows}, (_, i) => i);
    if (order === 'activation') places.sort((a, b) => product[b * rows + b]! - product[a * rows + a]!);
    const fixed = toPacked(
      new GptqQuantizer({type: 'gptq', order: 'activation'}).quantize({weights, shape, format, calibration}),
    );
    const scales = fixed.scale as Float32Array;
    const zeros = fixed.zeros ?? [];
    let grids = new Map<number, {scale: number; zero: number}>();
    const dynamic = order === 'natural' && typeof config === 'object' && typeof format.group === 'number';
    const want = reference(weights, shape, product, 0.02, places, (row, column, rest) => {
      const unit = Math.floor(row / fixed.group) * fixed.unitColumns + (fixed.unitColumns === 1 ? 0 : column);
      let grid = {scale: scales[unit]!, zero: zeros[unit] ?? fixed.zero ?? 0};
      if (dynamic) {
        const group = format.group as number;
        if (row % group === 0) {
          const own = Array.from(
            {length: Math.min(group, rows - row)},
            (_, k) => rest[(row + k) * columns + column]!,
          );
          grids = new Map(grids).set(column, format.fit(Math.min(...own), Math.max(...own)));
        }
        grid = grids.get(column)!;
      }
      const [codes, {scale, zero}] = [new Uint8Array(1), grid];
      format.encode(Float64Array.of(rest[row * columns + column]!), grid, codes);
      return format.codebook ? scale * format.codebook[codes[0]!]! : scale * (codes[0]! - zero);
    });
    const got = dequantize(toPacked(matrix));
    got.forEach((value, at) => {
      expect(Math.abs(value - want[at]!)).toBeLessThan(1e-5);
    });
  });
});

test('the factor of the inverse, against the inverse itself', () => {
  const size = 9;
  const inputs = inputsOf(20, size, 4);
  const {product} = calibrationOf(inputs, size);
  const factor = inverseFactor(product, size)!;
  const rows = Array.from({length: size}, (_, i) => Array.from(product.subarray(i * size, (i + 1) * size)));
  const inverse = inverted(rows);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += factor[k * size + i]! * factor[k * size + j]!;
      expect(sum).toBeCloseTo(inverse[i]![j]!, 9);
      if (j < i) expect(factor[i * size + j]).toBe(0);
    }
  }
  expect(inverseFactor(new Float64Array(4), 2)).toBeUndefined();
});

test('an input that is always 0 in calibration is rounded to nearest', () => {
  const inputs = inputsOf(50, 8, 7).map((value, at) => (at % 8 === 3 ? 0 : value));
  const weights = normals(8 * 5, 8);
  const format: FormatConfig = {type: 'int4', group: 'channel'};
  const own = dequantize(
    quantize(weights, [8, 5], format, {quantizer: 'gptq', calibration: calibrationOf(inputs, 8)}),
  );
  const nearest = dequantize(quantize(weights, [8, 5], format));
  expect(own.subarray(15, 20)).toEqual(nearest.subarray(15, 20));
  expect(own).not.toEqual(nearest);
});

test('missing, foreign and empty calibrations are refused with the remedy', () => {
  const make = (calibration?: Calibration, config: Partial<GptqConfig> = {}) =>
    quantize([1, 2], [2, 1], 'int4', {
      quantizer: {type: 'gptq', ...config},
      ...(calibration && {calibration}),
    });
  expect(() => make()).toThrow(/no calibration inputs. Pass a Calibration/);
  expect(() => make(new Calibration(2))).toThrow(ConfigError);
  expect(() => make(calibrationOf(Float32Array.of(1, 2, 3), 3))).toThrow(ShapeError);
  expect(() => make(calibrationOf(Float32Array.of(0, 0), 2))).toThrow(/all calibration inputs are 0/);
  const dependent = calibrationOf(Float32Array.of(1, 1), 2);
  expect(() => make(dependent, {damping: 0})).toThrow(/undetermined with damping 0. Set damping to 0.01/);
  expect(() => make(dependent)).not.toThrow();
  expect(() => make(dependent, {damping: 2})).toThrow(/damping is 2/);
  expect(() => make(dependent, {order: 'random' as 'natural'})).toThrow(/order is 'random'/);
});
