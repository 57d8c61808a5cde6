import {ConfigError} from '@tfjs-peft/kernels';

/** A weight to be hashed; the values are fetched when their turn comes, so that not all are in memory at once. */
export interface Hashable {
  name: string;
  shape: number[];
  read(): Promise<ArrayBufferView> | ArrayBufferView;
}

/** The SHA-256 of each weight's bytes, and one over all names, shapes and these. */
export interface WeightHashes {
  sha256: string;
  weights: {name: string; shape: number[]; sha256: string}[];
}

/** @throws ConfigError where there is no Web Crypto: in a page that is not served over https. */
export async function hashWeights(weights: readonly Hashable[]): Promise<WeightHashes> {
  const hashed: WeightHashes['weights'] = [];
  for (const {name, shape, read} of weights) {
    hashed.push({name, shape: [...shape], sha256: await sha256(await read())});
  }
  const text = JSON.stringify(hashed.map(({name, shape, sha256}) => [name, shape, sha256]));
  return {sha256: await sha256(new TextEncoder().encode(text)), weights: hashed};
}

async function sha256({buffer, byteOffset, byteLength}: ArrayBufferView): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle === undefined) {
    throw new ConfigError(
      'Hashing needs Web Crypto, which browsers offer only to https pages. Serve the page so.',
    );
  }
  const digest = await subtle.digest(
    'SHA-256',
    new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
  );
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
