import {className, describe, isPlain, shortened} from './describe.js';
import {ConfigError} from './errors.js';

/**
 * Upper bounds of what options and files may ask for, far above what any adapter needs. Numbers are compared
 * with them before anything is allocated, looped over or recursed into.
 *
 * @example
 * ```ts
 * import {LIMITS} from '@tfjs-peft/routers';
 *
 * console.log(LIMITS.count); // 65536: experts, ranks, virtual tokens
 * ```
 */
export const LIMITS = {
  /** Experts, ranks, virtual tokens and all other counts. */
  count: 65_536,
  /** Parameters of one upgrade: 2 GiB of float32, all that the wasm backend's memory can hold. */
  parameters: 2 ** 29,
  /** Nesting of lists and objects. */
  depth: 32,
  /** Strings, numbers, lists and objects in one config, or in the JSON of a file. */
  values: 100_000,
  /** Characters of one string in a config. */
  text: 100_000,
  /** Characters of the JSON in a file: an adapter's config, or the header of its weights. */
  json: 10_000_000,
} as const;

const SIMPLE = new Set(['string', 'number', 'boolean']);

/**
 * Copies a config that holds plain data: strings, numbers, booleans, lists and objects. Getters and proxies
 * are read once, here.
 *
 * @param what Names the config in messages.
 * @throws ConfigError if the config holds anything else (a function, a BigInt, an instance of a class), if
 * reading it throws, or if it exceeds {@link LIMITS}, as a config that contains itself does.
 * @example
 * ```ts
 * import {plainCopy} from '@tfjs-peft/kernels';
 *
 * const copy = plainCopy('my router', {type: 'mine', experts: 4});
 * ```
 */
export function plainCopy<T>(what: string, value: T): T {
  let left: number = LIMITS.values;
  const copy = (part: unknown, path: string, depth: number): unknown => {
    const refuse = (problem: string): never => {
      throw new ConfigError(`${what}: ${shortened(path)} ${problem}.`);
    };
    const take = (values: number) => {
      left -= values;
      if (left < 0) refuse(`brings the config to more than ${LIMITS.values} values. Pass a smaller config`);
    };
    if (typeof part === 'string' && part.length > LIMITS.text) {
      refuse(`is a string of ${part.length} characters. Use at most ${LIMITS.text}`);
    }
    if (part == null || SIMPLE.has(typeof part)) return part;
    if (typeof part !== 'object') {
      return refuse(
        `is ${describe(part)}, which is not plain data. Use a string, number, boolean, list or object`,
      );
    }
    if (!isPlain(part)) {
      refuse(`is a ${className(part)}. Use a plain object or list`);
    }
    if (depth === LIMITS.depth) {
      refuse(
        `is nested deeper than ${LIMITS.depth} levels, or the config contains itself. Flatten the config`,
      );
    }
    if (Array.isArray(part)) {
      take(part.length);
      return Array.from({length: part.length}, (_, i) => {
        const entry: unknown = part[i];
        // Numbers need no path, and a list of them can be long.
        return typeof entry === 'number' ? entry : copy(entry, `${path}[${i}]`, depth + 1);
      });
    }
    const keys = Object.keys(part);
    take(keys.length);
    // From entries: assigning to a key called __proto__ would set the prototype.
    return Object.fromEntries(
      keys.map((key) => [
        key,
        copy((part as Record<string, unknown>)[key], `${path}.${shortened(key)}`, depth + 1),
      ]),
    );
  };
  return readable(what, () => copy(value, 'the config', 0) as T);
}

/** @throws ConfigError in place of any other error, such as a getter's or a proxy's. */
export function readable<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(
      `${what}: the config cannot be read (${describe(cause instanceof Error ? cause.message : cause)}). ` +
        'Pass a plain object.',
      {cause},
    );
  }
}
