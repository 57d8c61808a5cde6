/** How much of a value a message shows. */
const MOST = {text: 80, entries: 8, depth: 3};

/**
 * Shows a value in an error message, in at most about eighty characters. It takes anything: circular, endless
 * or deeply nested values, and objects that throw when read.
 *
 * @example
 * ```ts
 * import {ConfigError, describe} from '@tfjs-peft/kernels';
 *
 * const checkRank = (rank: unknown) => {
 *   if (typeof rank !== 'number') throw new ConfigError(`rank is ${describe(rank)}. Set rank to a number.`);
 * };
 * ```
 */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${shortened(value)}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${shortened(String(value))}n`;
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    if (isPlain(value)) return shortened(literal(value, MOST.depth));
    return isRegExp(value) ? shortened(String(value)) : `a ${className(value)}`;
  } catch {
    return 'an object that cannot be read';
  }
}

/** Not by instanceof: it may be of another realm. */
function isRegExp(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object RegExp]';
}

/**
 * Whether a value is a list or a plain object. Prototypes are not compared by identity: each realm has its
 * own.
 *
 * @example
 * ```ts
 * import {isPlain} from '@tfjs-peft/kernels';
 *
 * const plain = [isPlain({}), isPlain(new Map())]; // [true, false]
 * ```
 */
export function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/**
 * Shortens a text for an error message, to at most eighty characters.
 *
 * @example
 * ```ts
 * import {shortened} from '@tfjs-peft/kernels';
 *
 * const text = shortened('x'.repeat(1000));
 * ```
 */
export function shortened(text: string): string {
  return text.length > MOST.text ? `${text.slice(0, MOST.text)}…` : text;
}

/**
 * The class of an object, for a message.
 *
 * @example
 * ```ts
 * import {className} from '@tfjs-peft/kernels';
 *
 * const name = className(new Map()); // 'Map'
 * ```
 */
export function className(value: object): string {
  return shortened(String(value.constructor?.name || 'object'));
}

/** The beginning of a list or plain object, as JavaScript writes it. */
function literal(value: unknown, depth: number): string {
  if (typeof value !== 'object' || value === null || !isPlain(value)) return describe(value);
  if (depth === 0) return '…';
  if (Array.isArray(value)) {
    const entries = value.slice(0, MOST.entries).map((entry) => literal(entry, depth - 1));
    if (value.length > MOST.entries) entries.push('…');
    // Shapes are written [2,3] in every message.
    return `[${entries.join(value.slice(0, MOST.entries).every((entry) => typeof entry === 'number') ? ',' : ', ')}]`;
  }
  const entries: string[] = [];
  for (const key in value) {
    if (entries.length === MOST.entries) {
      entries.push('…');
      break;
    }
    const name = /^[\w$]+$/.test(key) ? shortened(key) : `'${shortened(key)}'`;
    entries.push(`${name}: ${literal((value as Record<string, unknown>)[key], depth - 1)}`);
  }
  return `{${entries.join(', ')}}`;
}
