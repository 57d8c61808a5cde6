import {ConfigError, DuplicateNameError, describe, shared} from '@tfjs-peft/kernels';

/** The entries that were registered at run time, which an ESM and a CJS copy of a package have in common. */
function sharedEntries(kind: string): Map<string, unknown> {
  return shared(`registry.${kind}`, () => new Map());
}

/** The constructors of one kind of thing (routers, adapters) by the `type` that a config names. */
export class Registry<Create> {
  /** @param builtIns Fetched at the first use, so that a module that is imported for nothing else can be dropped by a bundler. */
  constructor(
    readonly kind: string,
    private readonly builtIns: () => Record<string, Create>,
  ) {}

  /**
   * Adds a type. Registering one of that name again replaces it.
   *
   * @throws DuplicateNameError if a built-in has that name; ConfigError if the name is empty.
   */
  register(type: string, create: Create): void {
    if (typeof type !== 'string' || type === '')
      throw new ConfigError(`A ${this.kind} needs a type name that is not empty.`);
    if (Object.hasOwn(this.builtIns(), type)) {
      throw new DuplicateNameError(
        `The ${this.kind} type '${type}' is built in. Register yours under another name.`,
      );
    }
    sharedEntries(this.kind).set(type, create);
  }

  /** @throws ConfigError that lists the known types if there is none of that name. */
  get(type: unknown): Create {
    const builtIns = this.builtIns();
    if (typeof type === 'string') {
      if (Object.hasOwn(builtIns, type)) return builtIns[type]!;
      const registered = sharedEntries(this.kind).get(type);
      if (registered !== undefined) return registered as Create;
    }
    throw new ConfigError(
      `Unknown ${this.kind} type ${describe(type)}. Set type to one of: ${this.types().join(', ')}; or register your own.`,
    );
  }

  types(): string[] {
    return [...Object.keys(this.builtIns()), ...sharedEntries(this.kind).keys()];
  }
}
