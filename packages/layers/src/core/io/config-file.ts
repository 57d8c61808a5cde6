import {ConfigError, describe, PeftError} from '@tfjs-peft/kernels';
import {type AdapterFile, checkAdapterFile} from './adapter-file.js';
import {whatIs} from './file-signatures.js';
import {duplicateKey, excess} from './json.js';
import {decodeText} from './text-encoding.js';

/** What both files of an adapter say that they are. */
export const FORMAT = 'tfjs-peft';

/**
 * Reads the text of an `adapter_config.json`.
 *
 * @param place Names the file in messages.
 * @throws ConfigError if it is no JSON, larger or deeper than such a file can be, has a key twice,
 * or a field is not as it must be.
 */
export function parseConfig(content: Uint8Array | string, place: string): AdapterFile {
  const text = typeof content === 'string' ? content : textOf(content, place);
  const tooMuch = excess(text);
  if (tooMuch !== undefined) {
    throw new ConfigError(`${place} ${tooMuch}. This is not an adapter's config: pass the right file.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notJson(content, place, cause);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new ConfigError(`${place} has the key ${describe(twice)} twice. Remove one.`);
  }
  return checkAdapterFile(value, place);
}

function textOf(bytes: Uint8Array, place: string): string {
  try {
    return decodeText(bytes).replace(/^\ufeff/, '');
  } catch (cause) {
    if (cause instanceof PeftError) throw cause;
    throw notJson(bytes, place, cause);
  }
}

function notJson(content: Uint8Array | string, place: string, cause: unknown): ConfigError {
  const is = typeof content === 'string' ? undefined : whatIs(content);
  const other = is === undefined || is === 'JSON' ? '' : `, but ${is}`;
  return new ConfigError(`${place} is not JSON${other}. Copy or save the adapter again.`, {cause});
}
