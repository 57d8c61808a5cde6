import {ConfigError, DuplicateNameError, describe, shared} from '@tfjs-peft/kernels';

/** Things of one kind (routers, adapters, sites) by name. */
export class Registry<Value> {
  /** Each copy of the package has its own, so that no config reaches another version's code. */
  private readonly builtIn: Map<string, Value>;
  private closed: boolean;

  /**
   * @param kind What errors call such a thing.
   * @param builtIn All built-ins. Default: those that are registered before {@link close}.
   */
  constructor(
    readonly kind: string,
    builtIn?: Record<string, Value>,
  ) {
    this.builtIn = new Map(Object.entries(builtIn ?? {}));
    this.closed = builtIn !== undefined;
  }

  /** What was registered after the built-ins, which an ESM and a CommonJS copy of a package have in common. */
  private get added(): Map<string, Value> {
    return shared(`registered.${this.kind}`, () => new Map());
  }

  /** Says that all built-ins are registered: what comes now is the user's. */
  close(): void {
    this.closed = true;
  }

  /**
   * Adds a thing. Registering another one of that name replaces it.
   *
   * @throws DuplicateNameError if a built-in has that name; ConfigError if the name is no text, or empty.
   */
  register(type: string, value: Value): void {
    if (typeof type !== 'string' || type === '') {
      throw new ConfigError(
        `A ${this.kind}'s type is ${describe(type)}, but must be a text that is not empty. Set it to the name that configs give.`,
      );
    }
    if (this.closed && this.builtIn.has(type)) {
      throw new DuplicateNameError(`The ${this.kind} type '${type}' is built in. Give yours another name.`);
    }
    (this.closed ? this.added : this.builtIn).set(type, value);
  }

  find(type: string): Value | undefined {
    return this.builtIn.get(type) ?? this.added.get(type);
  }

  /** @throws ConfigError that lists the known types if there is none of that name. */
  get(type: unknown): Value {
    const found = typeof type === 'string' ? this.find(type) : undefined;
    if (found !== undefined) return found;
    throw new ConfigError(
      `Unknown ${this.kind} type ${describe(type)}. Set type to one of: ${this.types().join(', ')}; or define your own.`,
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

/** What a config is turned into a thing by. */
export interface Definition {
  readonly type: string;
  create(config: never): unknown;
}

/**
 * Registers a definition under its type; see {@link Registry.register}.
 *
 * @throws ConfigError if it has no `create`.
 */
export function define(registry: Registry<Definition>, definition: Definition): void {
  const {type, create} = definition;
  if (typeof create !== 'function') {
    throw new ConfigError(
      `The ${registry.kind} ${describe(type)} has create ${describe(create)}, which must be a function. ` +
        `Give one that makes the ${registry.kind} of a config.`,
    );
  }
  registry.register(type, definition);
}
