import {ConfigError, fromHalves, type PackedCodes, toHalves} from '@tfjs-peft/kernels';
import {dequantize, type Int4Config, quantize} from '../index.js';
import {normals} from '../testing/numbers.js';

test('groups of 32 rows are the default, the last is short', () => {
  const packed = quantize(normals(70 * 3, 2), [70, 3], 'int4');
  expect(packed).toMatchObject({bits: 4, group: 32, unitColumns: 3});
  expect(packed.scale).toHaveLength(9);
  expect(packed.zeros).toHaveLength(9);
});

test('asymmetric: -0.25 to 3.5 in steps of a quarter', () => {
  const packed = quantize([-0.25, 0, 1.1, 3.5], [4, 1], 'int4');
  expect(packed.scale).toEqual(Float32Array.of(0.25));
  expect([...packed.zeros!]).toEqual([1]);
  expect([...packed.codes]).toEqual([0, 1, 5, 15]);
  expect([...dequantize(packed)]).toEqual([-0.25, 0, 1, 3.5]);
});

test('symmetric: around the middle code, of which 7 steps reach the largest weight', () => {
  const packed = quantize([-7, 3.4, 0, 6.5], [4, 1], {type: 'int4', symmetric: true});
  expect(packed).toMatchObject({zero: 8, scale: Float32Array.of(1)});
  expect(packed.zeros).toBeUndefined();
  expect([...packed.codes]).toEqual([1, 11, 8, 14]);
  // The code that quantize leaves unused is read where another program used it.
  expect([...dequantize({...packed, codes: Uint8Array.of(0, 8, 8, 8)})]).toEqual([-8, 0, 0, 0]);
});

test('GGUF Q4_0 and Q4_1: blocks of 32 with a float16 scale, and offset, are read without loss', () => {
  const codes = Uint8Array.from({length: 64}, (_, i) => (i * 7) % 16);
  const halves = (...values: number[]) => ({halves: toHalves(values, 'f16')});
  const grid = {shape: [64, 1], bits: 4, values: 'integer', group: 32, unitColumns: 1} as const;
  const [scale, offset] = [halves(0.0371, -1.25), halves(-0.22, 3)];
  const [d, m] = [fromHalves(scale.halves, 'f16'), fromHalves(offset.halves, 'f16')];
  const q40: PackedCodes = {...grid, codes, zero: 8, scale};
  const at = (part: Float32Array, i: number) => part[Math.floor(i / 32)]!;
  expect(dequantize(q40)).toEqual(Float32Array.from(codes, (code, i) => at(d, i) * (code - 8)));
  const q41: PackedCodes = {...grid, codes, scale, offset};
  expect(dequantize(q41)).toEqual(
    Float32Array.from(codes, (code, i) => Math.fround(at(d, i) * code) + at(m, i)),
  );
  const made = quantize(normals(64, 1), [64, 1], {type: 'int4', offset: 'float', scales: 'f16'});
  expect(Object.keys(made).sort()).toEqual(Object.keys(q41).sort());
});

test('scales and offsets of float16 are rounded outwards, so the extremes stay on the grid', () => {
  const weights = normals(96 * 5, 3);
  for (const grid of [{}, {symmetric: true}, {offset: 'float'}] as const) {
    const exact = quantize(weights, [96, 5], {type: 'int4', ...grid});
    const packed = quantize(weights, [96, 5], {type: 'int4', scales: 'f16', ...grid});
    const halves = fromHalves((packed.scale as {halves: Uint16Array}).halves, 'f16');
    halves.forEach((scale, unit) => {
      const own = (exact.scale as Float32Array)[unit]!;
      expect(scale).toBeGreaterThanOrEqual(own);
      expect(scale).toBeLessThan(own * 1.01);
    });
  }
});

test.each<[string, Partial<Int4Config>, RegExp]>([
  ['an unknown option', {bit: 8} as object, /unknown option 'bit'.*use one of: type, group/],
  ['an unknown group', {group: 'row' as 'tensor'}, /group is 'row'/],
  ['a group of nothing', {group: 0}, /group is 0/],
  ['an unknown rounding', {rounding: 'toString' as 'floor'}, /rounding is 'toString'.*half-even/],
  ['unknown scales', {scales: 'f8' as 'f16'}, /scales is 'f8'.*'f32', 'f16'/],
  ['an unknown offset', {offset: 1 as never}, /offset is 1.*'integer', 'float'/],
  ['no boolean', {symmetric: 1 as never}, /symmetric is 1.*true or false/],
  ['an unknown zero point', {zeroPoint: 'x' as 'free'}, /zeroPoint is 'x'.*include-zero/],
  ['symmetric floor', {rounding: 'floor', symmetric: true}, /'floor' is not defined for symmetric grids/],
  ['a symmetric offset', {offset: 'float', symmetric: true}, /symmetric grid has no offset/],
  ['a zero point of a symmetric grid', {zeroPoint: 'free', symmetric: true}, /Leave out zeroPoint/],
  ['a zero point beside an offset', {zeroPoint: 'paper', offset: 'float'}, /Leave out zeroPoint/],
  ['free zero points in float16', {zeroPoint: 'free', scales: 'f16'}, /Set scales: 'f32'/],
])('%s is refused', (_name, config, message) => {
  const attempt = () => quantize([1, 2], [2, 1], {type: 'int4', ...config});
  expect(attempt).toThrow(ConfigError);
  expect(attempt).toThrow(message);
});

test('weights whose scale float16 cannot hold are refused with the remedy', () => {
  const attempt = (config: Partial<Int4Config>) =>
    quantize([3e6, -3e6], [2, 1], {type: 'int4', scales: 'f16', ...config});
  expect(() => attempt({})).toThrow(/float16 ends at 65504. Set scales: 'f32'/);
  expect(() => attempt({offset: 'float'})).toThrow(/an offset would be -3000000, but float16 ends at -65504/);
});
