import fc from 'fast-check';
import {halfEven, ROUNDINGS} from './rounding.js';

test('half-even: the nearest whole number, of two the even one, up to where doubles are whole', () => {
  const quarters = fc.integer({min: -(2 ** 52), max: 2 ** 52}).map((count) => count / 4);
  const wide = fc.double({noNaN: true, noDefaultInfinity: true});
  fc.assert(
    fc.property(fc.oneof(quarters, wide), (value) => {
      const whole = halfEven(value);
      expect(Number.isInteger(whole)).toBe(true);
      expect(Math.abs(whole - value)).toBeLessThanOrEqual(0.5);
      if (Math.abs(whole - value) === 0.5) expect(Math.abs(whole % 2)).toBe(0);
    }),
    {numRuns: 2000},
  );
  expect(
    [-1.5, -0.5, 0.5, 1.5, 2.5, 2 ** 51 + 0.5, 2 ** 51 + 1.5].map(halfEven).map((value) => value + 0),
  ).toEqual([-2, 0, 0, 2, 2, 2 ** 51, 2 ** 51 + 2]);
});

test('half-up and floor are as written', () => {
  expect([-1.5, -0.5, 0.5, 0.49].map(ROUNDINGS['half-up'])).toEqual([-1, 0, 1, 0]);
  expect([-1.5, -0.5, 0.5, 1].map(ROUNDINGS.floor)).toEqual([-2, -1, 0, 1]);
});
