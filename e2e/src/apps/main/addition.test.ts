import {FORMATS, GRID_FORMATS} from '../../tools/formats.js';
import {ADDITIONS, additionOf, additionSize, checkAddition, quantizationOf, rateOf} from './addition.js';
import type {Encoder} from './encoders/encoder.js';

// What of an encoder is looked at before anything is made.
const encoder = {width: 512, parameters: 7e6, tapWidths: [256, 512, 512]} as unknown as Encoder;
const setting = {tasks: 3, width: 512};

it('offers every adapter and the side networks', () => {
  expect(ADDITIONS).toEqual(expect.arrayContaining(['lora', 'molora', 'ismoe', 'mp-ismoe']));
});

it.each(ADDITIONS)('%s is made by its name alone', (adapter) => {
  const made = additionOf({adapter}, setting, encoder);
  expect(adapter.endsWith(made.type)).toBe(true);
  expect(rateOf({adapter})).toBeGreaterThan(0);
  expect(rateOf({adapter, lr: 0.5})).toBe(0.5);
});

it('gives side networks their experts, and no rank', () => {
  expect(additionSize(additionOf({adapter: 'ismoe'}, setting, encoder))).toEqual({experts: 4});
  expect(additionSize(additionOf({adapter: 'mp-ismoe', experts: 2}, setting, encoder))).toEqual({experts: 2});
});

it('refuses a side network that is larger than the model, without making it', () => {
  expect(() => additionOf({adapter: 'ismoe', experts: 4000}, setting, encoder)).toThrow(
    /^--experts: a side network of 4000 experts would have [\d,]+ parameters, .* has 7,000,000; lower it$/,
  );
});

it.each(FORMATS)('%s quantises the projections to nearest, in groups of 32 where it has groups', (format) => {
  const made = quantizationOf({adapter: 'molora', format})!;
  expect(made).toMatchObject({format: {type: format}, quantizer: {type: 'nearest'}, embedding: false});
  expect((made.format as {group?: number}).group).toBe(GRID_FORMATS.includes(format) ? 32 : undefined);
});

it('quantises the base of mp-ismoe by GNP-IQ, table and all, and other bases only if it is asked to', () => {
  expect(quantizationOf({adapter: 'ismoe'})).toBeUndefined();
  expect(quantizationOf({adapter: 'mp-ismoe'})).toMatchObject({
    format: {type: 'int4', group: 32},
    quantizer: {type: 'gnp-iq', codesFrom: 'base'},
    embedding: true,
  });
  expect(quantizationOf({adapter: 'mp-ismoe', format: 'int8'})).toMatchObject({format: {type: 'int8'}});
});

it.each([
  [{adapter: 'ismoe', rank: 4}, /--rank: ismoe is a side network/],
  [{adapter: 'mp-ismoe', router: 'softmax'}, /--router: mp-ismoe is a side network/],
  [
    {adapter: 'mp-ismoe', format: 'bf16'},
    /--format: .* bf16 has none; choose from int8, int4, int3, int2, nf4$/,
  ],
])('refuses %j', (options, why) => {
  expect(() => checkAddition(options)).toThrow(why);
});
