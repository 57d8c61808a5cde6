import {parseArgs} from 'node:util';
import {InputError} from '../../data/input-error.js';

export type Flags = Record<string, {type: 'string' | 'boolean'; short?: string}>;

interface Bounds {
  integer?: boolean;
  /** The largest value, itself allowed. */
  most?: number;
}

/**
 * What a command line gave, by flag; each question about a value refuses what does not fit,
 * naming the flag and what it takes.
 */
export class Given<T extends Flags> {
  constructor(
    private readonly values: Partial<Record<string, string | boolean>>,
    /** Arguments that are no flags. */
    readonly positionals: string[],
  ) {}

  has(flag: keyof T & string): boolean {
    return this.values[flag] !== undefined;
  }

  text(flag: keyof T & string): string | undefined {
    return this.values[flag] as string | undefined;
  }

  list(flag: keyof T & string): string[] | undefined {
    return this.text(flag)
      ?.split(',')
      .map((item) => item.trim());
  }

  choice<C extends string>(flag: keyof T & string, choices: readonly C[]): C | undefined {
    const given = this.text(flag);
    if (given !== undefined && !choices.includes(given as C)) {
      throw new InputError(`--${flag}: no "${given}"; choose from ${choices.join(', ')}`);
    }
    return given as C | undefined;
  }

  /** A number above 0. */
  number(
    flag: keyof T & string,
    {integer = false, most = Number.MAX_VALUE}: Bounds = {},
  ): number | undefined {
    const given = this.text(flag);
    if (given === undefined) return undefined;
    const value = given.trim() === '' ? Number.NaN : Number(given);
    if (!(value > 0 && value <= most) || (integer && !Number.isInteger(value))) {
      const kind = integer ? 'a whole number' : 'a number';
      const end = most === Number.MAX_VALUE ? '' : ` and at most ${most}`;
      throw new InputError(`--${flag}: "${given}" is not ${kind} above 0${end}`);
    }
    return value;
  }

  count(flag: keyof T & string, most = Number.MAX_SAFE_INTEGER): number | undefined {
    return this.number(flag, {integer: true, most});
  }

  /** Distinct whole numbers from 0, from a flag that gives one or from one that gives several. */
  seeds(one: keyof T & string, several: keyof T & string, fallback: number[]): number[] {
    if (this.has(one) && this.has(several) && one !== several) {
      throw new InputError(`--${one} and --${several}: give one of them`);
    }
    const flag = this.has(several) ? several : one;
    const seeds = this.list(flag)?.map((seed) => {
      if (!/^\d{1,9}$/.test(seed)) {
        throw new InputError(`--${flag}: "${seed}" is not a whole number from 0 to 999999999`);
      }
      return Number(seed);
    });
    if (flag !== several && (seeds?.length ?? 1) > 1) {
      throw new InputError(`--${flag}: takes one seed; give several to --${several}`);
    }
    if (seeds !== undefined && new Set(seeds).size < seeds.length)
      throw new InputError(`--${flag}: a seed is given twice; give each once`);
    return seeds ?? fallback;
  }
}

/**
 * Reads a command line.
 *
 * @param positionals whether arguments that are no flags are taken.
 * @throws InputError for an unknown or repeated flag, one without its value, or
 * one with a value that takes none.
 */
export function parseFlags<const T extends Flags>(
  argv: string[],
  flags: T,
  {positionals = false} = {},
): Given<T> {
  const parsed = parseArgs({args: argv, options: flags, strict: false, allowPositionals: true, tokens: true});
  const seen = new Set<string>();
  for (const token of parsed.tokens) {
    if (token.kind === 'positional' && !positionals)
      throw new InputError(`"${token.value}": no such argument; see --help`);
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(flags, token.name))
      throw new InputError(`${token.rawName}: no such option; see --help`);
    if (seen.has(token.name)) throw new InputError(`${token.rawName}: given twice; give it once`);
    seen.add(token.name);
    const wanted = flags[token.name]!.type;
    if (wanted === 'boolean' && token.value !== undefined) {
      throw new InputError(`${token.rawName}: takes no value`);
    }
    if (wanted === 'string' && (token.value === undefined || token.value.trim() === '')) {
      throw new InputError(`${token.rawName}: needs a value; see --help`);
    }
    if (wanted === 'string' && !token.inlineValue && token.value!.startsWith('--')) {
      throw new InputError(`${token.rawName}: needs a value before ${token.value}; see --help`);
    }
  }
  return new Given(parsed.values as Record<string, string | boolean>, parsed.positionals);
}
