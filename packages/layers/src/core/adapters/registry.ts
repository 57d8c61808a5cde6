import {ConfigError, describe} from '@tfjs-peft/kernels';
import {plainCopy, Registry} from '@tfjs-peft/routers';
import type {Adapter, AdapterConfig, SiteDims} from './adapter.js';
import {DoraAdapter} from './dora/adapter.js';
import {Ia3Adapter} from './ia3/adapter.js';
import {LimeAdapter} from './lime/adapter.js';
import {LoraAdapter} from './lora/adapter.js';
import {LoraFaAdapter} from './lora-fa/adapter.js';
import {MoloraAdapter} from './molora/adapter.js';
import {Mor1eAdapter} from './mor1e/adapter.js';
import {MovAdapter} from './mov/adapter.js';

/**
 * Checks a config, fills in its defaults, and makes the adapter; throws a ConfigError if the config is not good. `dims` are there
 * where the site is known already, for options whose range depends on them.
 */
// biome-ignore lint/suspicious/noExplicitAny: each type's constructor takes its own config; the registry picks by `type`.
export type CreateAdapter = (config: any, dims?: SiteDims) => Adapter;

const adapters = new Registry<CreateAdapter>('adapter', () => ({
  lora: (config) => new LoraAdapter(config),
  dora: (config) => new DoraAdapter(config),
  'lora-fa': (config) => new LoraFaAdapter(config),
  ia3: (config) => new Ia3Adapter(config),
  molora: (config) => new MoloraAdapter(config),
  mov: (config) => new MovAdapter(config),
  mor1e: (config) => new Mor1eAdapter(config),
  lime: (config) => new LimeAdapter(config),
}));

/**
 * Makes an adapter type known to configs.
 *
 * @throws DuplicateNameError if a built-in adapter has that name.
 */
export function registerAdapter(type: string, create: CreateAdapter): void {
  adapters.register(type, create);
}

/**
 * Makes an adapter, without weights yet, from its config.
 *
 * @throws ConfigError if the type is unknown, or an option unknown or out of range; it says which ones there are.
 */
export function createAdapter(config: AdapterConfig, dims?: SiteDims): Adapter {
  if (typeof config !== 'object' || config === null) {
    throw new ConfigError(
      `The adapter config is ${describe(config)}, but must be an object such as {type: 'lora', rank: 8}.`,
    );
  }
  const plain = plainCopy('adapter', config);
  return adapters.get(plain.type)(plain, dims);
}
