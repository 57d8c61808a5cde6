import {ConfigError, describe} from '@tfjs-peft/kernels';
import {LIMITS, readable} from './bounds.js';

/**
 * Throws a ConfigError unless `config` is an object all of whose keys are known. `what` names its owner in the message.
 *
 * @returns A copy, whose options can be read without a getter that throws.
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

/** Returns `value` if it is an integer from `min` to `max`, `fallback` if it is absent; throws a ConfigError otherwise. */
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
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be an integer ${range}. Set ${option} so.`,
  );
}

/**
 * Returns `value` if it is an integer that may count something: from `min` to `max`, and never above {@link LIMITS}.count, since such
 * numbers become sizes; `fallback` if it is absent; throws a ConfigError otherwise.
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

/** Returns `value` if it is a finite number above 0, `fallback` if it is absent; throws a ConfigError otherwise. */
export function checkPositive(what: string, option: string, value: unknown, fallback?: number): number {
  const given = value === undefined ? fallback : value;
  if (isFloat32(given) && Math.fround(given) > 0) return given;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be a finite number above 0 in float32. Set ${option} so.`,
  );
}

/** Returns `value` if it is a finite number from `min` to `max`, `fallback` if it is absent; throws a ConfigError otherwise. */
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
  const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be a finite float32 number ${range}. Set ${option} so.`,
  );
}

/** Returns `value` if it is a boolean, `fallback` if it is absent; throws a ConfigError otherwise. */
export function checkBoolean(what: string, option: string, value: unknown, fallback: boolean): boolean {
  const given = value === undefined ? fallback : value;
  if (typeof given === 'boolean') return given;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be true or false. Set ${option} so.`,
  );
}

/** Returns `value` if it is one of `choices`, `fallback` (their first) if it is absent; throws a ConfigError otherwise. */
export function checkChoice<T extends string>(
  what: string,
  option: string,
  value: unknown,
  choices: readonly T[],
  fallback: T | undefined = choices[0],
): T {
  const given = value === undefined ? fallback : value;
  if (choices.includes(given as T)) return given as T;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be one of ${choices.join(', ')}.`,
  );
}

/** Whether it is a number that stays finite where all is float32: in tensors. */
function isFloat32(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(Math.fround(value));
}
