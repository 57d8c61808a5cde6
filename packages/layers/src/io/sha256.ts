import {ConfigError} from '@tfjs-peft/kernels';

/**
 * SHA-256 of some bytes, in hexadecimal.
 *
 * @throws ConfigError where there is no Web Crypto: a page that is not served over https.
 */
export async function sha256(bytes: Uint8Array | string): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle === undefined) {
    throw new ConfigError(
      'Hashing needs Web Crypto, which browsers offer only to https pages. Serve the page so.',
    );
  }
  const data = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes;
  const digest = new Uint8Array(await subtle.digest('SHA-256', data as Uint8Array<ArrayBuffer>));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
