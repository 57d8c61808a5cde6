import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {Calibration} from './index.js';
import {normals} from './testing/numbers.js';

test('x^T x, of rows in any portions, and of a product that is known', () => {
  const [width, rows] = [7, 13];
  const inputs = normals(width * rows, 1);
  const want = Float64Array.from({length: width * width}, (_, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += inputs[row * width + i]! * inputs[row * width + j]!;
    return sum;
  });
  const parts = new Calibration(width);
  parts.add(inputs.subarray(0, 5 * width));
  parts.add(inputs.subarray(5 * width));
  const known = new Calibration(width);
  known.addProduct(want, rows);
  for (const calibration of [parts, known]) {
    expect(calibration.rows).toBe(rows);
    calibration.product.forEach((value, at) => {
      expect(value).toBeCloseTo(want[at]!, 10);
      // Symmetric to the bit, whatever the rounding.
      expect(value).toBe(calibration.product[(at % width) * width + Math.floor(at / width)]);
    });
  }
});

test('what is no input of that width is refused, and changes nothing', () => {
  const calibration = new Calibration(3);
  expect(() => calibration.add([1, 2])).toThrow(ShapeError);
  expect(() => calibration.add([])).toThrow(/0 inputs are no whole rows of width 3/);
  expect(() => calibration.add([1, 2, Number.NaN])).toThrow(/value 2 is NaN/);
  expect(() => calibration.addProduct([1], 1)).toThrow(/the product has 1 values/);
  expect(() => calibration.addProduct(new Float64Array(9), 0)).toThrow(ConfigError);
  expect(calibration.rows).toBe(0);
  expect(calibration.product.every((value) => value === 0)).toBe(true);
  for (const width of [0, 1.5, 1e9]) expect(() => new Calibration(width)).toThrow(/width is/);
});
