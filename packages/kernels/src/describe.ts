/** How much of a value a message shows. */
const MOST = {text: 80, entries: 8, depth: 3};

/**
 * A value for a message, in at most some eighty characters whatever it is: options and files may hold what is circular, endless,
 * nested without end, or throws when it is looked at.
 *
 * @example
 * ```ts
 * throw new ConfigError(`rank is ${describe(rank)}, but must be an integer above 0. Set rank so.`);
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

/** Whether it is a list, or an object of no class: what JSON can hold. Prototypes are not compared, since each realm has its own. */
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

/** The beginning of a value, as JSON can hold it. */
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
