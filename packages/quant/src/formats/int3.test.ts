import {packData, unpackData} from '@tfjs-peft/kernels';
import {dequantize, quantize} from '../index.js';
import {normals} from '../testing/numbers.js';

test('eight codes, of which a symmetric grid uses seven', () => {
  const weights = [-1.5, -1, -0.5, 0, 0.5, 1, 1.5];
  const symmetric = quantize(weights, [7, 1], {type: 'int3', symmetric: true});
  expect([...symmetric.codes]).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(symmetric).toMatchObject({zero: 4, scale: Float32Array.of(0.5)});
  expect([...dequantize(symmetric)]).toEqual(weights);
  const asymmetric = quantize([...weights, 2], [8, 1], 'int3');
  expect([...asymmetric.codes]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect([...dequantize(asymmetric)]).toEqual([...weights, 2]);
});

test('ten codes are in a word, so 32 rows take four words', () => {
  const packed = quantize(normals(32 * 6, 1), [32, 6], 'int3');
  const data = packData(packed.codes, packed);
  expect(data.codes).toHaveLength(4 * 6 * 4);
  expect(unpackData(data).codes).toEqual(packed.codes);
});
