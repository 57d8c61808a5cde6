import {groupByExpert} from './expert-groups.js';

const groups = (gates: number[], experts: number) => {
  const {starts, rows, largest} = groupByExpert(Float32Array.from(gates), experts);
  return {starts: [...starts], rows: [...rows], largest};
};

test('rows are listed under every expert whose gate is not zero', () => {
  const gates = [0.5, 0, 0.5, /**/ 0, 0, 1, /**/ 0.2, 0, -0.1];
  expect(groups(gates, 3)).toEqual({starts: [0, 2, 2, 5], rows: [0, 2, 0, 1, 2], largest: 3});
});

test('no rows, and rows that chose no expert', () => {
  expect(groups([], 2)).toEqual({starts: [0, 0, 0], rows: [], largest: 0});
  expect(groups([0, 0, -0, 0], 2)).toEqual({starts: [0, 0, 0], rows: [], largest: 0});
});

test('a gate that is not a number counts as chosen, so that it shows in the output', () => {
  expect(groups([Number.NaN, 0], 2)).toEqual({starts: [0, 1, 1], rows: [0], largest: 1});
});
