import {adapterShapes, createAdapter} from '../../../index.js';
import {describeAdapter} from '../../../testing/describe-adapter.js';
import {product, zip} from '../../../testing/double.js';

describeAdapter({type: 'lora-fa', rank: 3, alpha: 6}, ({x, z, act, weight}) =>
  act(zip(z, product(product(x, weight('lora_A')), weight('lora_B')), (base, delta) => base + 2 * delta)),
);

test('A is kept as it started, and counts as no trained parameter', () => {
  expect(adapterShapes({type: 'lora-fa', rank: 2}, {inputDim: 5, outputDim: 3})).toEqual([
    {name: 'lora_A', shape: [5, 2], trainable: false},
    {name: 'lora_B', shape: [2, 3], trainable: true},
  ]);
});

test('lora-fa defaults: rank 8, alpha 16', () => {
  expect(createAdapter({type: 'lora-fa'}).getConfig()).toEqual({type: 'lora-fa', rank: 8, alpha: 16});
});
