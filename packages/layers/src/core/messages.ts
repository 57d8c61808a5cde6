import {describe} from '@tfjs-peft/kernels';

/** Names as an error lists them: the first few, and how many more there are. */
export function listNames(names: readonly string[], most = 8): string {
  const shown = names.slice(0, most).map((name) => `'${name}'`);
  const more = names.length - shown.length;
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/**
 * The message of an error and of its cause: fetch itself says only that it failed. Not by instanceof: the
 * error may come from another realm.
 */
export function reasonOf(error: unknown): string {
  const {message, cause} = (error ?? {}) as {message?: unknown; cause?: {message?: unknown; code?: unknown}};
  if (typeof message !== 'string') return describe(error);
  const behind = [cause?.message, cause?.code].find((text) => typeof text === 'string' && text !== '');
  return behind === undefined ? message : `${message}: ${behind}`;
}

/** A class, op or dtype with its article: `a Dense`, `an Einsum`, `a uint8`. */
export function withArticle(name: string): string {
  return `${/^([aeio]|un(?!i))/i.test(name) ? 'an' : 'a'} ${name}`;
}
