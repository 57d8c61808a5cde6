import {checkPacked, packData, unpackData} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {createFormat, dequantize, type Group, quantizationError, quantize, Units} from '../index.js';
import {normals} from '../testing/numbers.js';

const codebook = createFormat('nf4').codebook!;

test('the codebook is its own fixed point: 16 rising numbers from -1 to 1, with an exact zero', () => {
  expect([codebook[0], codebook[7], codebook[15]]).toEqual([-1, 0, 1]);
  expect([...codebook].sort((a, b) => a - b)).toEqual([...codebook]);
  const packed = quantize(codebook, [16, 1], 'nf4');
  expect([...packed.codes]).toEqual(Array.from({length: 16}, (_, i) => i));
  expect(dequantize(packed)).toEqual(codebook);
});

test('a weight is never nearer to another entry, and within 0.152 of the largest of its unit', () => {
  const group: fc.Arbitrary<Group> = fc.oneof(
    fc.constantFrom('tensor' as const, 'channel' as const),
    fc.integer({min: 1, max: 9}),
    fc.integer({min: 1, max: 20}).map((flat) => ({flat})),
  );
  fc.assert(
    fc.property(
      fc.integer({min: 1, max: 17}),
      fc.integer({min: 1, max: 4}),
      group,
      (rows, columns, grouped) => {
        const weights = normals(rows * columns, rows * 31 + columns);
        const packed = quantize(weights, [rows, columns], {type: 'nf4', group: grouped});
        checkPacked('test', packed);
        expect(unpackData(packData(packed.codes, packed)).codes).toEqual(packed.codes);
        const decoded = dequantize(packed);
        const units = new Units([rows, columns], grouped);
        weights.forEach((weight, at) => {
          const own: number[] = [];
          units.gather(weights, units.unitAt(Math.floor(at / columns), at % columns), own);
          const largest = Math.max(...own.map(Math.abs));
          const off = Math.abs(weight - decoded[at]!);
          expect(off).toBeLessThanOrEqual(0.152 * largest);
          const nearest = Math.min(...Array.from(codebook, (entry) => Math.abs(weight - entry * largest)));
          expect(off).toBeLessThanOrEqual(nearest + 1e-6 * largest);
        });
      },
    ),
  );
});

test('a unit of zeros has the code of zero', () => {
  const packed = quantize(new Float32Array(128), [64, 2], 'nf4');
  expect(packed.codes.every((code) => code === 7)).toBe(true);
  expect(dequantize(packed).every((value) => value === 0)).toBe(true);
});

test('on normal weights it beats 4 bits at equal distances where units are large', () => {
  const weights = normals(1024 * 8, 5);
  const ratio = (group: Group) => {
    const [own, integer] = (['nf4', 'int4'] as const).map(
      (type) => quantizationError(weights, quantize(weights, [1024, 8], {type, group})).mse,
    ) as [number, number];
    return own / integer;
  };
  expect(ratio(64)).toBeLessThan(1.05);
  expect(ratio('channel')).toBeLessThan(0.8);
});

test('flat blocks are groups where the rows are a multiple, and smaller ones with equal scales elsewhere', () => {
  const weights = normals(128 * 3, 6);
  const [flat, groups] = [{flat: 64}, 64].map((group) => quantize(weights, [128, 3], {type: 'nf4', group}));
  expect(flat).toEqual(groups);
  const odd = quantize(weights, [96, 4], {type: 'nf4', group: {flat: 64}});
  expect(odd).toMatchObject({group: 32, unitColumns: 4});
  expect(new Set(odd.scale as Float32Array).size).toBe(6);
});

test('scales of float16 are rounded up, so no weight is clamped', () => {
  const weights = normals(64 * 5, 7);
  const packed = quantize(weights, [64, 5], {type: 'nf4', scales: 'f16'});
  expect(quantizationError(weights, packed).mse).toBeLessThan(
    1.01 * quantizationError(weights, quantize(weights, [64, 5], 'nf4')).mse,
  );
  expect(Object.keys(packed.scale!)).toEqual(['halves']);
});
