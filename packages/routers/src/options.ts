import {ConfigError} from '@tfjs-peft/kernels';

/** Throws a ConfigError unless `config` is a plain object all of whose keys are known. `what` names its owner in the message. */
export function checkOptions(what: string, config: unknown, known: readonly string[]): void {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new ConfigError(
      `${what}: the config is ${describe(config)}, but must be an object such as {type: '…'}.`,
    );
  }
  const unknown = Object.keys(config).filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    throw new ConfigError(
      `${what}: unknown option ${unknown.map((key) => `'${key}'`).join(', ')}. ` +
        `Remove it, or use one of: ${known.join(', ')}.`,
    );
  }
}

/** Returns `value` if it is an integer from `min` to `max`, `fallback` if it is absent; throws a ConfigError otherwise. */
export function checkInteger(
  what: string,
  option: string,
  value: unknown,
  {min = 1, max = Number.MAX_SAFE_INTEGER, fallback}: {min?: number; max?: number; fallback?: number} = {},
): number {
  const given = value ?? fallback;
  if (Number.isSafeInteger(given) && (given as number) >= min && (given as number) <= max)
    return given as number;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be an integer ${range}. Set ${option} so.`,
  );
}

/** Returns `value` if it is a finite number above 0, `fallback` if it is absent; throws a ConfigError otherwise. */
export function checkPositive(what: string, option: string, value: unknown, fallback?: number): number {
  const given = value ?? fallback;
  if (typeof given === 'number' && Number.isFinite(given) && given > 0) return given;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be a finite number above 0. Set ${option} so.`,
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
  const given = value ?? fallback;
  if (typeof given === 'number' && Number.isFinite(given) && given >= min && given <= max) return given;
  const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be a finite number ${range}. Set ${option} so.`,
  );
}

/** Returns `value` if it is a boolean, `fallback` if it is absent; throws a ConfigError otherwise. */
export function checkBoolean(what: string, option: string, value: unknown, fallback: boolean): boolean {
  const given = value ?? fallback;
  if (typeof given === 'boolean') return given;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be true or false. Set ${option} so.`,
  );
}

/** Returns `value` if it is one of `choices`, the first of them if it is absent; throws a ConfigError otherwise. */
export function checkChoice<T extends string>(
  what: string,
  option: string,
  value: unknown,
  choices: readonly T[],
): T {
  const given = value ?? choices[0];
  if (choices.includes(given as T)) return given as T;
  throw new ConfigError(
    `${what}: ${option} is ${describe(given)}, but must be one of ${choices.join(', ')}.`,
  );
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return JSON.stringify(value) ?? 'an object';
  return String(value);
}
