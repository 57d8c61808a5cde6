/**
 * What the copies of these packages in one process have in common. There are two where one module imports a
 * package and another requires it: Node and bundlers then load its ESM and its CommonJS files side by side,
 * each with its own module variables.
 */
const SHARED = Symbol.for('@tfjs-peft/shared');

/**
 * State that every copy gets the same of. For the packages of tfjs-peft.
 *
 * @param name Names the state; all copies ask for it by this name.
 * @param make Makes it for the first copy that asks.
 * @example
 * ```ts
 * import {shared} from '@tfjs-peft/kernels';
 *
 * const names = shared('my-package.names', () => new Set<string>());
 * ```
 */
export function shared<T>(name: string, make: () => T): T {
  const holder = globalThis as {[SHARED]?: Map<string, unknown>};
  holder[SHARED] ??= new Map();
  if (!holder[SHARED].has(name)) holder[SHARED].set(name, make());
  return holder[SHARED].get(name) as T;
}

/** Marks the root of those classes that are known across copies. */
export const SHARED_CLASS = Symbol.for('@tfjs-peft/class');

/** A class of which each copy of its package has one; its `kind` tells which. */
export interface SharedClass {
  readonly kind: string;
  readonly [SHARED_CLASS]: true;
}

/**
 * Whether a value was made by this class, or a subclass of it, of whichever copy: what `instanceof` asks of
 * the classes here. A subclass without a `kind` of its own is one of the caller's, and is compared as any
 * class is.
 *
 * @example
 * ```ts
 * import {isInstance, PeftError} from '@tfjs-peft/kernels';
 *
 * const ours = isInstance(PeftError, new PeftError('')); // true
 * ```
 */
export function isInstance(type: SharedClass, value: unknown): boolean {
  if (!Object.hasOwn(type, 'kind')) return Function.prototype[Symbol.hasInstance].call(type, value);
  if (typeof value !== 'object') return false;
  for (let prototype = value; prototype !== null; prototype = Object.getPrototypeOf(prototype)) {
    const made = Object.hasOwn(prototype, 'constructor')
      ? (prototype.constructor as Partial<SharedClass> | undefined)
      : undefined;
    if (made?.[SHARED_CLASS] && Object.hasOwn(made, 'kind') && made.kind === type.kind) return true;
  }
  return false;
}
