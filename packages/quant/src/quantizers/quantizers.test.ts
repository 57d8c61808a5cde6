import {ConfigError, checkPacked, DuplicateNameError} from '@tfjs-peft/kernels';
import {
  Calibration,
  createQuantizer,
  defineQuantizer,
  type FormatSpec,
  formatDefinitions,
  type QuantizerConfig,
  quantizationError,
  quantize,
  quantizerDefinitions,
} from '../index.js';
import {channels, normals} from '../testing/numbers.js';

const shape = [37, 15] as const;
const weights = channels(shape, 1);
const calibration = new Calibration(37);
calibration.add(normals(37 * 50, 2));

beforeAll(() => {
  jest.spyOn(console, 'warn').mockImplementation();
});
afterAll(() => jest.restoreAllMocks());

describe('registry', () => {
  it('names the known types where a type is unknown', () => {
    for (const type of ['awq', 'toString', '', 4]) {
      const create = () => createQuantizer({type} as unknown as QuantizerConfig);
      expect(create).toThrow(ConfigError);
      expect(create).toThrow(/Unknown quantizer type .*nearest, clip, gnp-iq, gptq/);
    }
    expect(() => createQuantizer(undefined as never)).toThrow(/quantizer is undefined.*'nearest'/);
    expect(() => quantize([1], [1, 1], 'int8', {quantiser: 'gptq'} as never)).toThrow(
      /unknown option 'quantiser'/,
    );
  });

  it('keeps built-in types', () => {
    expect(() => defineQuantizer({type: 'gptq', create: () => createQuantizer('nearest')})).toThrow(
      DuplicateNameError,
    );
  });
});

describe.each(quantizerDefinitions())('the definition of $type', ({type, options, summary, examples}) => {
  it('says what lists are made of, and names the options that there are', () => {
    expect(summary).toMatch(/\S/);
    for (const example of examples as QuantizerConfig[]) {
      expect(example.type).toBe(type);
      const config = createQuantizer(example).getConfig();
      expect(['type', ...options!]).toEqual(expect.arrayContaining(Object.keys(config)));
      expect(createQuantizer(config).getConfig()).toEqual(config);
      const unknown = Object.assign({nonsense: 1}, example);
      expect(() => createQuantizer(unknown)).toThrow(`use one of: ${['type', ...options!].join(', ')}.`);
    }
  });
});

const CASES = quantizerDefinitions().flatMap(({examples = []}) =>
  (examples as QuantizerConfig[]).flatMap((quantizer) =>
    formatDefinitions().flatMap(({examples: own = []}) =>
      (own as FormatSpec[]).map(
        (format) => [JSON.stringify(quantizer), JSON.stringify(format), quantizer, format] as const,
      ),
    ),
  ),
);

test.each(CASES)('%s in %s: parts fit, the same each time, or a refusal', (_q, _f, quantizer, format) => {
  const make = () => quantize(weights, shape, format, {quantizer, calibration});
  let packed: ReturnType<typeof make>;
  try {
    packed = make();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(/no scales to choose|holds the zero point constant/);
    return;
  }
  checkPacked('test', packed);
  expect(make()).toEqual(packed);
  expect(quantizationError(weights, packed).cosine).toBeGreaterThan(0.4);
});

test.each(quantizerDefinitions().map(({type}) => type as QuantizerConfig['type']))(
  '%s refuses weights that are not finite, and leaves what it is given',
  (quantizer) => {
    const copy = weights.slice();
    quantize(weights, shape, 'int3', {quantizer, calibration});
    expect(weights).toEqual(copy);
    copy[5] = Number.NaN;
    expect(() => quantize(copy, shape, 'int3', {quantizer, calibration})).toThrow(/weight \(0, 5\) is NaN/);
  },
);
