import {ConfigError, className, describe, isPlain, shortened} from '@tfjs-peft/kernels';

/**
 * What options and files may ask for at most. A number is compared with them before anything is allocated, looped over or recursed
 * into for it; they are far above what an adapter needs.
 */
export const LIMITS = {
  /** Experts, ranks, virtual tokens, and whatever else counts something. */
  count: 65_536,
  /** Numbers in the weights of one upgrade: 2 GiB of float32, as much as the wasm backend's memory can hold. */
  parameters: 2 ** 29,
  /** How deep lists and objects lie in each other. */
  depth: 32,
  /** Texts, numbers, lists and objects in one config, or in the JSON of a file. */
  values: 100_000,
  /** Letters of one text in a config. */
  text: 100_000,
  /** Letters of the JSON in a file: an adapter's config, or the header of its weights. */
  json: 10_000_000,
} as const;

const SIMPLE = new Set(['string', 'number', 'boolean']);

/**
 * A copy of a config that holds plain data: texts, numbers, booleans, lists and objects. What comes after reads the copy, so that no
 * getter or proxy is asked again.
 *
 * @param what Names the config in messages.
 * @throws ConfigError if something in it is of another kind (a function, a BigInt, an instance of a class), throws when it is read,
 * or is larger or deeper than {@link LIMITS} allow, as what contains itself is.
 * @example
 * ```ts
 * registerRouter('mine', (config) => new MyRouter(plainCopy('my router', config)));
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
      if (left < 0) refuse(`brings more than ${LIMITS.values} values. Give a smaller config`);
    };
    if (typeof part === 'string' && part.length > LIMITS.text) {
      refuse(`is a text of ${part.length} letters; at most ${LIMITS.text} are allowed`);
    }
    if (part == null || SIMPLE.has(typeof part)) return part;
    if (typeof part !== 'object') {
      return refuse(
        `is ${describe(part)}, but must be plain data: text, number, boolean, list or object. Set it so`,
      );
    }
    if (!isPlain(part)) {
      refuse(`is a ${className(part)}, but must be a plain object or list. Make it one`);
    }
    if (depth === LIMITS.depth) {
      refuse(`lies deeper than ${LIMITS.depth} lists and objects, or the config contains itself. Flatten it`);
    }
    if (Array.isArray(part)) {
      take(part.length);
      return Array.from({length: part.length}, (_, i) => {
        const entry: unknown = part[i];
        // A long list of numbers needs no path for each.
        return typeof entry === 'number' ? entry : copy(entry, `${path}[${i}]`, depth + 1);
      });
    }
    const keys = Object.keys(part);
    take(keys.length);
    // Made of entries, since an assignment to a key called __proto__ is none.
    return Object.fromEntries(
      keys.map((key) => [
        key,
        copy((part as Record<string, unknown>)[key], `${path}.${shortened(key)}`, depth + 1),
      ]),
    );
  };
  return readable(what, () => copy(value, 'the config', 0) as T);
}

/** @throws ConfigError if reading throws anything else: a getter's error, or a proxy's. */
export function readable<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(
      `${what}: the config cannot be read (${describe(cause instanceof Error ? cause.message : cause)}). Give a plain object.`,
      {cause},
    );
  }
}
