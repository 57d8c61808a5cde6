import {ConfigError} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {type Group, Units} from './index.js';

const size = fc.integer({min: 1, max: 23});
const group: fc.Arbitrary<Group> = fc.oneof(
  fc.constantFrom('tensor' as const, 'channel' as const),
  size,
  size.map((flat) => ({flat})),
);

test('every weight is in the unit that says so, once', () => {
  fc.assert(
    fc.property(size, size, group, (rows, columns, grouped) => {
      const units = new Units([rows, columns], grouped);
      const places = Int32Array.from({length: rows * columns}, (_, at) => at);
      const seen: number[] = [];
      for (let unit = 0; unit < units.count; unit++) {
        const own: number[] = [];
        expect(units.gather(places, unit, own)).toBe(units.size(unit));
        expect(own).toHaveLength(units.size(unit));
        expect(own.length).toBeLessThanOrEqual(units.largest);
        for (const at of own) expect(units.unitAt(Math.floor(at / columns), at % columns)).toBe(unit);
        seen.push(...own);
      }
      expect(seen.sort((a, b) => a - b)).toEqual([...places]);
    }),
  );
});

test('scatter is the inverse of gather', () => {
  fc.assert(
    fc.property(size, size, group, (rows, columns, grouped) => {
      const units = new Units([rows, columns], grouped);
      const values = Float64Array.from({length: rows * columns}, (_, at) => at + 0.5);
      const [copy, own] = [new Float64Array(rows * columns), new Float64Array(units.largest)];
      for (let unit = 0; unit < units.count; unit++) {
        units.gather(values, unit, own);
        units.scatter(own, unit, copy);
      }
      expect(copy).toEqual(values);
    }),
  );
});

test('groups run down a column, the last is short; flat blocks run on in the next column', () => {
  const groups = new Units([5, 2], 3);
  expect(groups.shape).toEqual([2, 2]);
  const own: number[] = [];
  expect(groups.gather([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 3, own)).toBe(2);
  expect(own).toEqual([7, 9]);
  const flat = new Units([5, 2], {flat: 3});
  expect(flat.shape).toEqual([4]);
  expect(flat.gather([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1, own)).toBe(3);
  expect(own).toEqual([6, 8, 1]);
});

test.each([0, -1, 1.5, Number.NaN, 'row', null, {flat: 0}, {group: 3}, {flat: 2, more: 1}, [4]])(
  '%p is no group',
  (wrong) => {
    const attempt = () => new Units([4, 4], wrong as Group);
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(/Set group to a number of rows/);
  },
);
