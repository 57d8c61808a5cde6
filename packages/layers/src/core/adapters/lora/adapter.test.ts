import {createAdapter} from '../../../index.js';
import {describeAdapter} from '../../../testing/describe-adapter.js';
import {product, zip} from '../../../testing/double.js';

describeAdapter({type: 'lora', rank: 3, alpha: 6}, ({x, z, act, weight}) =>
  act(zip(z, product(product(x, weight('lora_A')), weight('lora_B')), (base, delta) => base + 2 * delta)),
);

test('lora defaults: rank 8, alpha 16', () => {
  expect(createAdapter({type: 'lora'}).getConfig()).toEqual({type: 'lora', rank: 8, alpha: 16});
});
