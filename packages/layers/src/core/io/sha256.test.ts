import {createHash} from 'node:crypto';
import fc from 'fast-check';
import {plainSha256, sha256} from './sha256.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('is that of the standard', async () => {
  const abc = new TextEncoder().encode('abc');
  const digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(hex(plainSha256(abc))).toBe(digest);
  expect(await sha256(abc)).toBe(digest);
});

it('is that of Node, whatever the length', () => {
  const check = (bytes: Uint8Array) =>
    expect(hex(plainSha256(bytes))).toBe(createHash('sha256').update(bytes).digest('hex'));
  for (let length = 0; length < 200; length++) check(Uint8Array.from({length}, (_, i) => 7 * i + length));
  check(new Uint8Array(1 << 20).fill(255));
  fc.assert(fc.property(fc.uint8Array({maxLength: 1000}), check));
});

it('takes any view, and reads its bytes alone', async () => {
  const floats = Float32Array.of(1, 2, 3, 4);
  const part = floats.subarray(1, 3);
  const expected = createHash('sha256')
    .update(Buffer.from(floats.buffer, 4, 8))
    .digest('hex');
  expect(await sha256(part)).toBe(expected);
});
