import {createHash} from 'node:crypto';
import type {Tensor} from '@tensorflow/tfjs-core';

/** SHA-256 over the bytes of tensors, in order. */
export async function fingerprint(weights: Tensor[]): Promise<string> {
  const hash = createHash('sha256');
  for (const weight of weights) {
    const values = await weight.data();
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}
