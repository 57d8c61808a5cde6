import {ConfigError} from '@tfjs-peft/kernels';

/**
 * Something that files need and not every JavaScript engine has, such as those of some apps.
 *
 * @throws ConfigError that says what is missing.
 */
export function needed<K extends 'TextDecoder' | 'TextEncoder' | 'atob' | 'btoa'>(
  name: K,
): (typeof globalThis)[K] {
  const found = globalThis[name] as (typeof globalThis)[K] | undefined;
  if (found === undefined) {
    throw new ConfigError(
      `This JavaScript engine has no ${name}, which reading and writing files needs. Load a polyfill for it first.`,
    );
  }
  return found;
}

export function encodeText(text: string): Uint8Array {
  return new (needed('TextEncoder'))().encode(text);
}

/** @throws TypeError if the bytes are not UTF-8; ConfigError where there is no TextDecoder. */
export function decodeText(bytes: Uint8Array): string {
  return new (needed('TextDecoder'))('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
}
