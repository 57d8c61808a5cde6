import {LIMITS, readable} from './bounds.js';
import {describe} from './describe.js';
import {ConfigError} from './errors.js';

/**
 * Checks that `config` is an object and that all its keys are known.
 *
 * @param what Names the owner of the config in messages, such as `'my router'`.
 * @returns A shallow copy: reading an option of it calls no getter.
 * @throws ConfigError that lists the known options if the config is not an object or has an unknown key.
 * @example
 * ```ts
 * import {checkOptions} from '@tfjs-peft/routers';
 *
 * const config = checkOptions('my router', {type: 'mine', experts: 4}, ['type', 'experts']);
 * ```
 */
export function checkOptions<T>(what: string, config: T, known: readonly string[]): T {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new ConfigError(
      `${what}: the config is ${describe(config)}, but must be an object such as {type: '…'}.`,
    );
  }
  const copy = readable(what, () => ({...config}));
  const unknown = Object.keys(copy).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    const more = unknown.length > 4 ? ` and ${unknown.length - 4} more` : '';
    throw new ConfigError(
      `${what}: unknown option ${unknown.slice(0, 4).map(describe).join(', ')}${more}. ` +
        `Remove it, or use one of: ${known.join(', ')}.`,
    );
  }
  return copy;
}

/**
 * Checks that an option is a safe integer from `min` (default 1) to `max`.
 *
 * @returns `value`, or `fallback` if `value` is undefined.
 * @throws ConfigError that names the option, its value and the range.
 * @example
 * ```ts
 * import {checkInteger} from '@tfjs-peft/routers';
 *
 * const window = checkInteger('my router', 'window', undefined, {fallback: 8}); // 8
 * ```
 */
export function checkInteger(
  what: string,
  option: string,
  value: unknown,
  {min = 1, max = Number.MAX_SAFE_INTEGER, fallback}: {min?: number; max?: number; fallback?: number} = {},
): number {
  const given = value === undefined ? fallback : value;
  if (Number.isSafeInteger(given) && (given as number) >= min && (given as number) <= max)
    return given as number;
  const range =
    max === Number.MAX_SAFE_INTEGER
      ? `of at least ${min}`
      : max === LIMITS.count
        ? `of at least ${min} and at most ${max}`
        : `from ${min} to ${max}`;
  refuse(what, option, given, `an integer ${range}`);
}

/**
 * Checks that an option is an integer from `min` (default 1) to `max`, and at most {@link LIMITS}.count
 * (65,536): counts become the sizes of tensors.
 *
 * @returns `value`, or `fallback` if `value` is undefined.
 * @throws ConfigError that names the option, its value and the range.
 * @example
 * ```ts
 * import {checkCount} from '@tfjs-peft/routers';
 *
 * const experts = checkCount('my router', 'experts', 4);
 * const topK = checkCount('my router', 'topK', undefined, {max: experts, fallback: 1});
 * ```
 */
export function checkCount(
  what: string,
  option: string,
  value: unknown,
  {min = 1, max = LIMITS.count, fallback}: {min?: number; max?: number; fallback?: number} = {},
): number {
  return checkInteger(what, option, value, {
    min,
    max: Math.min(max, LIMITS.count),
    ...(fallback !== undefined && {fallback}),
  });
}

/**
 * Checks that an option is a number that is finite and above 0 in float32.
 *
 * @returns `value`, or `fallback` if `value` is undefined.
 * @throws ConfigError that names the option and its value.
 * @example
 * ```ts
 * import {checkPositive} from '@tfjs-peft/routers';
 *
 * const temperature = checkPositive('my router', 'temperature', 0.5, 1);
 * ```
 */
export function checkPositive(what: string, option: string, value: unknown, fallback?: number): number {
  const given = value === undefined ? fallback : value;
  if (isFloat32(given) && Math.fround(given) > 0) return given;
  refuse(what, option, given, 'a number above 0 that is finite in float32');
}

/**
 * Checks that an option is a number from `min` to `max` that is finite in float32. Without bounds, any finite
 * number will do.
 *
 * @returns `value`, or `fallback` if `value` is undefined.
 * @throws ConfigError that names the option, its value and the range.
 * @example
 * ```ts
 * import {checkNumber} from '@tfjs-peft/routers';
 *
 * const jitter = checkNumber('my router', 'jitter', undefined, {min: 0, max: 1, fallback: 0});
 * ```
 */
export function checkNumber(
  what: string,
  option: string,
  value: unknown,
  {
    min = Number.NEGATIVE_INFINITY,
    max = Number.POSITIVE_INFINITY,
    fallback,
  }: {min?: number; max?: number; fallback?: number},
): number {
  const given = value === undefined ? fallback : value;
  if (isFloat32(given) && given >= min && given <= max) return given;
  const [below, above] = [min === Number.NEGATIVE_INFINITY, max === Number.POSITIVE_INFINITY];
  const range = below && above ? '' : above ? ` of at least ${min}` : ` from ${min} to ${max}`;
  refuse(what, option, given, `a finite float32 number${range}`);
}

/**
 * Checks that an option is a boolean.
 *
 * @returns `value`, or `fallback` if `value` is undefined.
 * @throws ConfigError that names the option and its value.
 * @example
 * ```ts
 * import {checkBoolean} from '@tfjs-peft/routers';
 *
 * const renormalize = checkBoolean('my router', 'renormalize', undefined, false); // false
 * ```
 */
export function checkBoolean(what: string, option: string, value: unknown, fallback: boolean): boolean {
  const given = value === undefined ? fallback : value;
  if (typeof given === 'boolean') return given;
  refuse(what, option, given, 'true or false');
}

/**
 * Checks that an option is one of a list of strings.
 *
 * @param fallback Default: the first of `choices`.
 * @returns `value`, or `fallback` if `value` is undefined.
 * @throws ConfigError that names the option, its value and the choices.
 * @example
 * ```ts
 * import {checkChoice} from '@tfjs-peft/routers';
 *
 * const form = checkChoice('my router', 'form', undefined, ['paper', 'code']); // 'paper'
 * ```
 */
export function checkChoice<T extends string>(
  what: string,
  option: string,
  value: unknown,
  choices: readonly T[],
  fallback: T | undefined = choices[0],
): T {
  const given = value === undefined ? fallback : value;
  if (choices.includes(given as T)) return given as T;
  refuse(what, option, given, `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`);
}

function refuse(what: string, option: string, given: unknown, allowed: string): never {
  throw new ConfigError(`${what}: ${option} is ${describe(given)}. Set ${option} to ${allowed}.`);
}

/** Whether a value is a number that is still finite as float32, the dtype of every tensor here. */
function isFloat32(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(Math.fround(value));
}
