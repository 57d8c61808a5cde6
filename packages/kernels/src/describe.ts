/** How much of a value a message shows. */
const MOST = {text: 80, entries: 8, depth: 3};

/**
 * Shows a value in an error message, in at most about eighty characters. It takes anything: circular, endless or deeply nested values,
 * and objects that throw when read.
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
    return isPlain(value) ? shortened(JSON.stringify(brief(value, MOST.depth))) : `a ${className(value)}`;
  } catch {
    return 'an object that cannot be read';
  }
}

/** Whether a value is a list or a plain object. Prototypes are not compared by identity: each realm has its own. */
export function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

export function shortened(text: string): string {
  return text.length > MOST.text ? `${text.slice(0, MOST.text)}…` : text;
}

/** The class of an object, for a message. */
export function className(value: object): string {
  return shortened(String(value.constructor?.name || 'object'));
}

/** The beginning of a value, as plain JSON. */
function brief(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return shortened(value);
  if (typeof value !== 'object' || value === null) {
    return typeof value === 'number' || typeof value === 'boolean' || value === null
      ? value
      : describe(value);
  }
  if (!isPlain(value)) return `a ${className(value)}`;
  if (depth === 0) return '…';
  if (Array.isArray(value)) {
    const entries = value.slice(0, MOST.entries).map((entry) => brief(entry, depth - 1));
    return value.length > MOST.entries ? [...entries, '…'] : entries;
  }
  const entries: [string, unknown][] = [];
  for (const key in value) {
    if (entries.length === MOST.entries) {
      entries.push(['…', '…']);
      break;
    }
    entries.push([shortened(key), brief((value as Record<string, unknown>)[key], depth - 1)]);
  }
  return Object.fromEntries(entries);
}
