import {ConfigError} from '@tfjs-peft/kernels';
import {type ClipConfig, quantizationError, quantize} from '../index.js';
import {channels, normals} from '../testing/numbers.js';

const shape = [512, 9] as const;
const weights = normals(512 * 9, 3);

function errors(quantizer: ClipConfig | 'nearest', type: 'int2' | 'int3' | 'int4' | 'int8') {
  return quantizationError(weights, quantize(weights, shape, {type, group: 'channel'}, {quantizer}));
}

test('the first try is the whole range, so no unit is worse than to nearest', () => {
  for (const type of ['int2', 'int3', 'int4', 'int8'] as const) {
    const [plain, clipped] = [errors('nearest', type), errors({type: 'clip'}, type)];
    clipped.unitMse.forEach((mse, unit) => {
      expect(mse).toBeLessThanOrEqual(plain.unitMse[unit]!);
    });
    expect(errors({type: 'clip', tries: 1}, type)).toEqual(plain);
  }
});

test('the fewer the bits, the more clipping gains on normal weights', () => {
  const gains = (['int8', 'int4', 'int3', 'int2'] as const).map(
    (type) => errors({type: 'clip'}, type).mse / errors('nearest', type).mse,
  );
  expect([...gains].sort((a, b) => b - a)).toEqual(gains);
  expect(gains[1]).toBeLessThan(0.85);
  expect(gains[3]).toBeLessThan(0.6);
});

test('constant units and those of zeros stay exact', () => {
  const some = channels([40, 14], 2);
  const packed = quantize(some, [40, 14], {type: 'int8', group: 'channel'}, {quantizer: 'clip'});
  const {unitMse} = quantizationError(some, packed);
  for (const column of [5, 6, 12, 13]) expect(unitMse[column]).toBeLessThan(1e-15);
});

test.each<[string, Partial<ClipConfig>, RegExp]>([
  ['no tries', {tries: 0}, /tries is 0/],
  ['too many tries', {tries: 1e9}, /tries is 1000000000.*10000/],
  ['an empty range', {smallest: 0}, /smallest is 0/],
])('%s is refused', (_name, config, message) => {
  const attempt = () => errors({type: 'clip', ...config}, 'int4');
  expect(attempt).toThrow(ConfigError);
  expect(attempt).toThrow(message);
});
