import {
  ConfigError,
  checkPacked,
  DuplicateNameError,
  packData,
  ShapeError,
  unpackData,
} from '@tfjs-peft/kernels';
import fc from 'fast-check';
import {
  createFormat,
  defineFormat,
  dequantize,
  type FormatConfig,
  type FormatSpec,
  formatDefinitions,
  fromPacked,
  quantizationError,
  quantize,
  toPacked,
  Units,
} from '../index.js';
import {channels} from '../testing/numbers.js';

const shape = [37, 15] as const;
const weights = channels(shape, 1);

describe('registry', () => {
  it('names the known types where a type is unknown', () => {
    for (const type of ['int5', 'toString', '', 4, undefined]) {
      const create = () => createFormat({type} as unknown as FormatConfig);
      expect(create).toThrow(ConfigError);
      expect(create).toThrow(/Unknown weight format type .*int8, int4, int3, int2, nf4, f16, bf16/);
    }
    expect(() => createFormat(null as unknown as FormatSpec)).toThrow(/weight format is null.*'int4'/);
  });

  it('takes a type alone for all of its defaults', () => {
    for (const {type} of formatDefinitions()) {
      expect(createFormat(type as 'int4').getConfig()).toEqual(
        createFormat({type} as FormatConfig).getConfig(),
      );
    }
  });

  it('keeps built-in types', () => {
    const create = () => createFormat('int8');
    expect(() => defineFormat({type: 'nf4', create})).toThrow(DuplicateNameError);
    expect(() => defineFormat({type: 'own'} as never)).toThrow(/weight format 'own' has create undefined/);
  });
});

describe.each(formatDefinitions())('the definition of $type', ({type, options, summary, examples}) => {
  it('says what lists are made of', () => {
    expect(summary).toMatch(/\S/);
    expect(examples!.every((example) => example.type === type)).toBe(true);
  });

  it('names the options that there are, and no others', () => {
    for (const example of examples!) {
      const config = createFormat(example as FormatConfig).getConfig();
      expect(['type', ...options!]).toEqual(expect.arrayContaining(Object.keys(config)));
      expect(createFormat(config).getConfig()).toEqual(config);
    }
    const unknown = {...examples![0], nonsense: 1} as unknown as FormatConfig;
    expect(() => createFormat(unknown)).toThrow(`use one of: ${['type', ...options!].join(', ')}.`);
  });
});

const EXAMPLES = formatDefinitions().flatMap(({examples = []}) =>
  examples.map((example) => [JSON.stringify(example), example as FormatConfig] as const),
);

describe.each(EXAMPLES)('%s', (_name, config) => {
  const format = createFormat(config);

  it('gives parts that belong together, and are packed and read back exactly', () => {
    const packed = quantize(weights, shape, config);
    checkPacked('test', packed);
    expect(unpackData(packData(packed.codes, packed))).toEqual({...packed, codes: packed.codes});
    expect(dequantize(packed)).toHaveLength(weights.length);
    expect(quantizationError(weights, packed).max).toBeLessThan(type(config) === 'paper' ? 1 : 0.8);
  });

  it('is read back from its packed form, to be quantised further', () => {
    const packed = quantize(weights, shape, config);
    expect(toPacked(fromPacked(packed, format))).toEqual(packed);
    for (const other of EXAMPLES.map(([, example]) => createFormat(example))) {
      // Of another format, or of one whose packed form is this one.
      try {
        expect(dequantize(toPacked(fromPacked(packed, other)))).toEqual(dequantize(packed));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        expect(String(error)).toMatch(/was not quantised in .*Pass the format/);
        expect(other.getConfig()).not.toEqual(format.getConfig());
      }
    }
  });

  it('keeps zero exactly where the grid has it', () => {
    if (format.zero === 'offset') return;
    const decoded = dequantize(quantize(weights, shape, config));
    const zeros = Array.from(decoded).filter((_, at) => weights[at] === 0);
    expect(zeros.length).toBeGreaterThan(50);
    expect(zeros.every((value) => value === 0)).toBe(true);
  });

  it('decodes what it decoded to the same weights', () => {
    // Idempotent where the extremes of a unit are on its grid: not with floors, nor with rounded scales or
    // ranges.
    const {zeroPoint, rounding, scales, symmetric} = {...format.getConfig()} as {[option: string]: unknown};
    if (zeroPoint !== undefined || rounding === 'floor' || scales === 'f16' || symmetric === false) return;
    const once = dequantize(quantize(weights, shape, config));
    const twice = dequantize(quantize(once, shape, config));
    twice.forEach((value, at) => {
      expect(Math.abs(value - once[at]!)).toBeLessThanOrEqual(1e-6 * Math.abs(value));
    });
  });

  it('takes matrices of one row, of one column and of one weight', () => {
    for (const odd of [
      [1, 6],
      [6, 1],
      [1, 1],
    ] as const) {
      const some = weights.slice(0, odd[0] * odd[1]);
      const packed = quantize(some, odd, config);
      checkPacked('test', packed);
      expect(quantizationError(some, packed).max).toBeLessThan(0.8);
    }
  });

  it('refuses weights that are not finite, and names the first', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300]) {
      const spoilt = Array.from(weights);
      spoilt[3 * shape[1] + 2] = bad;
      const attempt = () => quantize(spoilt, shape, config);
      expect(attempt).toThrow(ConfigError);
      expect(attempt).toThrow(/weight \(3, 2\) is (NaN|-?Infinity|1e\+300).*Repair/);
    }
    expect(() => quantize([1, 2, 3], [2, 2], config)).toThrow(ShapeError);
    expect(() => quantize([], [0, 2], config)).toThrow(/sizes of at least 1/);
  });

  it('stays finite from the smallest to the largest weights', () => {
    const sizes = [1e-45, 1e-38, 1e-30, 1e-8, 65000, 8e37];
    for (const size of sizes) {
      const some = Float32Array.from([-1, 0.7, 0.3, -0.1, 0.99, 0.5], (share) => share * size);
      let packed: ReturnType<typeof quantize>;
      try {
        packed = quantize(some, [3, 2], config);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        // float16 ends at 65504.
        expect(size).toBe(8e37);
        expect(JSON.stringify(config)).toContain('f16');
        continue;
      }
      const decoded = dequantize(packed);
      expect(decoded.every(Number.isFinite)).toBe(true);
      expect(quantizationError(some, packed).max).toBeLessThanOrEqual(Math.max(size * 1.01, 6e-8));
    }
  });
});

const type = (config: FormatConfig) => ('zeroPoint' in config ? config.zeroPoint : undefined);

const matrix = fc
  .record({rows: fc.integer({min: 1, max: 19}), columns: fc.integer({min: 1, max: 5})})
  .chain(({rows, columns}) =>
    fc.record({
      shape: fc.constant([rows, columns] as const),
      values: fc.array(fc.float({noNaN: true, min: -8, max: 8}), {
        minLength: rows * columns,
        maxLength: rows * columns,
      }),
    }),
  );

const integer = fc.record({
  type: fc.constantFrom('int8' as const, 'int4' as const, 'int3' as const, 'int2' as const),
  group: fc.oneof(
    fc.constantFrom('tensor' as const, 'channel' as const),
    fc.integer({min: 1, max: 20}),
    fc.integer({min: 1, max: 20}).map((flat) => ({flat})),
  ),
  grid: fc.constantFrom({}, {symmetric: true}, {offset: 'float' as const}, {zeroPoint: 'free' as const}),
  scales: fc.constantFrom('f32' as const, 'f16' as const),
  rounding: fc.constantFrom('half-even' as const, 'half-up' as const, 'floor' as const),
});

test('integer grids: every weight is within half a step of its decoded value, with floor within one', () => {
  let checked = 0;
  fc.assert(
    fc.property(matrix, integer, ({shape, values}, {grid, ...rest}) => {
      const config: FormatConfig = {...rest, ...grid};
      if ('symmetric' in grid && rest.rounding === 'floor') return;
      if ('zeroPoint' in grid && rest.scales === 'f16') return;
      checked++;
      const packed = quantize(values, shape, config);
      const decoded = dequantize(packed);
      const units = new Units(shape, rest.group);
      const format = createFormat(config);
      values.forEach((value, at) => {
        const own: number[] = [];
        units.gather(values, units.unitAt(Math.floor(at / shape[1]), at % shape[1]), own);
        const {scale} = format.fit(Math.min(...own), Math.max(...own));
        const steps = rest.rounding === 'floor' ? 1 : 0.5;
        // Beside the rounding of scales, offsets and products to float32.
        const slack = 2e-6 * Math.max(...own.map(Math.abs)) + 1e-37;
        expect(Math.abs(value - decoded[at]!)).toBeLessThanOrEqual(steps * scale + slack);
      });
    }),
    {numRuns: 400},
  );
  expect(checked).toBeGreaterThan(200);
});

test('more bits and finer groups cost no accuracy on this matrix', () => {
  const values = Float32Array.from({length: 256}, (_, i) => Math.sin(i * 2.3) * (1 + (i % 16)));
  const mse = (config: FormatSpec) => quantizationError(values, quantize(values, [16, 16], config)).mse;
  const byBits = (['int2', 'int3', 'int4', 'int8', 'bf16', 'f16'] as const).map((spec) =>
    mse(spec.startsWith('int') ? {type: spec as 'int8', group: 'channel'} : spec),
  );
  expect([...byBits].sort((a, b) => b - a)).toEqual(byBits);
  const grouped = (['tensor', 'channel', 4] as const).map((group) => mse({type: 'int4', group}));
  expect([...grouped].sort((a, b) => b - a)).toEqual(grouped);
});
