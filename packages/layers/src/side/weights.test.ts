import {sideValues} from './weights.js';

const of = {type: 'uniform', low: -1, high: 1} as const;

test.each([
  ['columns', [3, 8], 1],
  ['rows', [8, 3], 0],
] as const)('copies lie side by side along %s, each with noise of its own', (_what, shape, axis) => {
  const values = sideValues({type: 'copies', copies: 4, axis, of, noise: 1e-3}, shape, 7);
  const at = (copy: number, i: number, j: number) =>
    axis === 1 ? values[i * 8 + copy * 2 + j]! : values[(copy * 2 + j) * 3 + i]!;
  const seen = new Set<number>();
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 2; j++)
      for (let copy = 0; copy < 4; copy++) {
        expect(Math.abs(at(copy, i, j) - at(0, i, j))).toBeLessThan(0.01);
        seen.add(at(copy, i, j));
      }
  expect(seen.size).toBe(24);
  const spread = Math.max(...values) - Math.min(...values);
  expect(spread).toBeGreaterThan(0.5);
});

test('without noise the copies are equal, and a seed gives the same again', () => {
  const init = {type: 'copies', copies: 2, axis: 1, of, noise: 0} as const;
  const values = sideValues(init, [2, 4], 3);
  expect([values[0], values[1], values[4]]).toEqual([values[2], values[3], values[6]]);
  expect(sideValues(init, [2, 4], 3)).toEqual(values);
  expect(sideValues(init, [2, 4], 4)).not.toEqual(values);
});
