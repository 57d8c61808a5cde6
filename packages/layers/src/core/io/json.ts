import {LIMITS} from '@tfjs-peft/routers';

/**
 * Why a text is not to be parsed as JSON: it is longer, deeper or has more values than a file of an adapter
 * can have. Undefined if it is fine, or no JSON at all. Nothing is allocated for it.
 */
export function excess(text: string): string | undefined {
  if (text.length > LIMITS.json) return `is longer than ${LIMITS.json} letters`;
  let depth = 0;
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > LIMITS.depth) return `is nested deeper than ${LIMITS.depth}`;
        if (++values > LIMITS.values) return `has more than ${LIMITS.values} values`;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        break;
      case 0x2c: // ,
        if (++values > LIMITS.values) return `has more than ${LIMITS.values} values`;
        break;
      case 0x22: // "
        i = endOfString(text, i) - 1;
        break;
    }
  }
  return undefined;
}

/**
 * The first key that some object of a JSON text has twice, or undefined. `JSON.parse` keeps the last of them
 * without a word, so two readers of one file may see different tensors.
 *
 * @param text Valid JSON; check it with `JSON.parse` before.
 */
export function duplicateKey(text: string): string | undefined {
  // One entry for each open bracket: the keys so far of an object, null for an array.
  const open: (Set<string> | null)[] = [];
  let expectsKey = false;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '{':
        open.push(new Set());
        expectsKey = true;
        break;
      case '[':
        open.push(null);
        expectsKey = false;
        break;
      case '}':
      case ']':
        open.pop();
        expectsKey = false;
        break;
      case ',':
        expectsKey = open.at(-1) != null;
        break;
      case '"': {
        const end = endOfString(text, i);
        if (expectsKey) {
          const written = text.slice(i + 1, end - 1);
          // Parsed, since "a" and "\u0061" are one key.
          const key = written.includes('\\') ? (JSON.parse(`"${written}"`) as string) : written;
          const keys = open.at(-1)!;
          if (keys.has(key)) return key;
          keys.add(key);
          expectsKey = false;
        }
        i = end - 1;
        break;
      }
    }
  }
  return undefined;
}

/** Index after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  for (let code = text.charCodeAt(i); i < text.length && code !== 0x22; code = text.charCodeAt(i)) {
    i += code === 0x5c ? 2 : 1;
  }
  return i + 1;
}

/** What a record itself has under a name that came from outside: every object has a 'constructor'. */
export function own<T>(record: Readonly<Record<string, T>> | null | undefined, name: string): T | undefined {
  return record != null && Object.hasOwn(record, name) ? record[name] : undefined;
}
