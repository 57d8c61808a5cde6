import {ConfigError, describe, plainCopy, type Registry} from '@tfjs-peft/kernels';

/**
 * Makes a thing of one kind from its config, or from its type with all defaults.
 *
 * @param option What callers pass it as.
 * @param examples Of a type and of a config, for the error.
 * @throws ConfigError if `given` is neither, the type is unknown, or an option is out of range.
 */
export function createFrom<Product>(
  registry: Registry<{create(config: {type: string}): Product}>,
  option: string,
  given: string | {type: string},
  examples: string,
): Product {
  const config = typeof given === 'string' ? {type: given} : given;
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The ${registry.kind} is ${describe(given)}. Set ${option} to a type such as ${examples}.`,
    );
  }
  const plain = plainCopy(registry.kind, config);
  return registry.get(plain.type).create(plain);
}
