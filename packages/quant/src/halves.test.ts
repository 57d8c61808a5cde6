import {fromHalves, toHalves} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {halfAbove, halfBelow} from './halves.js';

/** Every finite float16 of one sign, in order. */
const HALVES = fromHalves(
  Uint16Array.from({length: 0x7c00}, (_, bits) => bits),
  'f16',
);

test('a float16 is its own bound to both sides', () => {
  const bound = HALVES.filter((half) =>
    [half, -half].some((own) => halfAbove(own) !== own || halfBelow(own) !== own),
  );
  expect([...bound]).toEqual([]);
});

test('numbers next to a float16 lie between it and its neighbour', () => {
  const wrong: number[] = [];
  for (let i = 1; i < HALVES.length - 1; i++) {
    const [before, half, after] = [HALVES[i - 1]!, HALVES[i]!, HALVES[i + 1]!];
    const [more, less] = [half * (1 + 2 ** -52), half * (1 - 2 ** -53)];
    const above = halfAbove(more) === after && halfAbove(-less) === -before;
    const below = halfBelow(less) === before && halfBelow(-more) === -after;
    if (!above || !below) wrong.push(half);
  }
  expect(wrong).toEqual([]);
});

test('a number within range is between its two bounds, one of which is the nearest float16', () => {
  fc.assert(
    fc.property(fc.double({min: -65504, max: 65504, noNaN: true}), (value) => {
      const [below, above] = [halfBelow(value), halfAbove(value)];
      expect(below <= value && value <= above).toBe(true);
      const nearest = fromHalves(toHalves([Math.fround(value)], 'f16'), 'f16')[0]!;
      expect([below, above]).toContain(nearest);
    }),
  );
});

test('what float16 does not reach is infinite', () => {
  expect(halfAbove(65504.1)).toBe(Number.POSITIVE_INFINITY);
  expect(halfBelow(65504.1)).toBe(65504);
  expect(halfBelow(-1e30)).toBe(Number.NEGATIVE_INFINITY);
});
