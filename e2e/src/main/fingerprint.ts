import {createHash} from 'node:crypto';
import type {LayersModel} from '@tensorflow/tfjs-layers';

/** SHA-256 over the bytes of weights, in order. */
export async function fingerprint(weights: LayersModel['weights']): Promise<string> {
  const hash = createHash('sha256');
  for (const weight of weights) {
    const values = await weight.read().data();
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}
