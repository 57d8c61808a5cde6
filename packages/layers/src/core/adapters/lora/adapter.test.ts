import {createAdapter} from '../../../index.js';
import {describeAdapter} from '../../../testing/describe-adapter.js';
import {addRow, product, zip} from '../../../testing/double.js';

describeAdapter({type: 'lora', rank: 3, alpha: 6}, ({x, z, act, weight}) =>
  act(zip(z, product(product(x, weight('lora_A')), weight('lora_B')), (base, delta) => base + 2 * delta)),
);

describeAdapter({type: 'lora', rank: 4, alpha: -3, useRslora: true, loraBias: true}, ({x, z, act, weight}) =>
  act(
    zip(
      z,
      addRow(product(product(x, weight('lora_A')), weight('lora_B')), weight('lora_B_bias')[0]!),
      (base, delta) => base - 1.5 * delta,
    ),
  ),
);

test('the scale of LoRA may be negative, but not nothing', () => {
  for (const type of ['lora', 'lora-fa', 'dora', 'molora'] as const) {
    expect(createAdapter({type, rank: 4, alpha: -3}).getConfig()).toMatchObject({alpha: -3});
    expect(() => createAdapter({type, alpha: 0})).toThrow(/alpha is 0, so the adapter would change nothing/);
    expect(createAdapter({type, rank: 64, useRslora: true}).getConfig()).toMatchObject({
      alpha: 16,
      useRslora: true,
    });
    expect(createAdapter({type, useRslora: false}).getConfig()).not.toHaveProperty('useRslora');
    expect(() => createAdapter({type, useRslora: 1} as never)).toThrow(/useRslora is 1/);
  }
  expect(createAdapter({type: 'lora', loraBias: false}).getConfig()).not.toHaveProperty('loraBias');
  expect(() => createAdapter({type: 'dora', loraBias: true} as never)).toThrow(/unknown option 'loraBias'/);
  expect(() => createAdapter({type: 'lime', over: {type: 'dora', alpha: 0}})).toThrow(/over: alpha is 0/);
});

test('lora defaults: rank 8, alpha 16', () => {
  expect(createAdapter({type: 'lora'}).getConfig()).toEqual({type: 'lora', rank: 8, alpha: 16});
});
