import {describe} from './describe.js';
import {ConfigError, DuplicateNameError} from './errors.js';
import {shared} from './shared.js';

/**
 * Things of one kind (routers, adapters, sites) by name.
 *
 * @example
 * ```ts
 * import {Registry} from '@tfjs-peft/routers';
 *
 * const shapes = new Registry<number>('shape', {square: 4});
 * shapes.register('triangle', 3);
 * const corners = shapes.get('triangle'); // 3
 * ```
 */
export class Registry<Value> {
  /** Each copy of the package has its own, so no config reaches the code of another version. */
  private readonly builtIn: Map<string, Value>;
  private closed: boolean;

  /**
   * @param kind The noun for such a thing in errors.
   * @param builtIn All built-ins. Default: those registered before {@link close}.
   */
  constructor(
    readonly kind: string,
    builtIn?: Record<string, Value>,
  ) {
    this.builtIn = new Map(Object.entries(builtIn ?? {}));
    this.closed = builtIn !== undefined;
  }

  /** Entries registered after the built-ins. The ESM and CommonJS copies of a package share them. */
  private get added(): Map<string, Value> {
    return shared(`registered.${this.kind}`, () => new Map());
  }

  /** Ends the registration of built-ins: all later entries are the user's. */
  close(): void {
    this.closed = true;
  }

  /**
   * Adds a thing. Registering another one of that name replaces it.
   *
   * @throws DuplicateNameError if a built-in has that name; ConfigError if the name is not a string or is
   * empty.
   */
  register(type: string, value: Value): void {
    if (typeof type !== 'string' || type === '') {
      throw new ConfigError(
        `The type of a ${this.kind} is ${describe(type)}. Set type to a string that is not empty.`,
      );
    }
    if (this.closed && this.builtIn.has(type)) {
      throw new DuplicateNameError(
        `The ${this.kind} type '${type}' is built in. Choose another name for yours.`,
      );
    }
    (this.closed ? this.added : this.builtIn).set(type, value);
  }

  find(type: string): Value | undefined {
    return this.builtIn.get(type) ?? this.added.get(type);
  }

  /** @throws ConfigError that lists the known types if `type` is none of them. */
  get(type: unknown): Value {
    const found = typeof type === 'string' ? this.find(type) : undefined;
    if (found !== undefined) return found;
    throw new ConfigError(
      `Unknown ${this.kind} type ${describe(type)}. Set type to one of: ${this.types().join(', ')}; ` +
        'or define your own.',
    );
  }

  /** The built-in ones first. */
  types(): string[] {
    return [...this.builtIn.keys(), ...this.added.keys()];
  }

  values(): Value[] {
    return [...this.builtIn.values(), ...this.added.values()];
  }
}

/** Makes things of one kind from configs of one type. */
export interface Definition {
  readonly type: string;
  create(config: never): unknown;
}

/**
 * Registers a definition under its type; see {@link Registry.register}.
 *
 * @throws ConfigError if `create` is not a function.
 * @example
 * ```ts
 * import {type Definition, define, Registry} from '@tfjs-peft/routers';
 *
 * const poolings = new Registry<Definition>('pooling');
 * define(poolings, {type: 'max', create: () => Math.max});
 * ```
 */
export function define(registry: Registry<Definition>, definition: Definition): void {
  const {type, create} = definition;
  if (typeof create !== 'function') {
    throw new ConfigError(
      `The ${registry.kind} ${describe(type)} has create ${describe(create)}. ` +
        `Set create to a function that makes the ${registry.kind} from a config.`,
    );
  }
  registry.register(type, definition);
}
