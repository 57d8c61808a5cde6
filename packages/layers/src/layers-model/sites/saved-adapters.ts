import {ConfigError, describe} from '@tfjs-peft/kernels';
import type {AdapterConfig} from '../../core/adapters/adapter.js';
import {isSharedShapes} from '../../core/io/adapter-file.js';
import type {SharedShape} from '../../core/sites/shared-weights.js';

/**
 * An adapter in a layer's config. tfjs-layers rewrites the case of every key and string on
 * saving and loading, except for strings under a key called `name`; so all there is to say
 * is one JSON text under that key.
 */
export type SavedAdapter = {name: string};

/** What that text says. */
export interface AdapterRecord {
  adapter: string;
  active: boolean;
  config: AdapterConfig;
  /** Shapes of the weights that it has in common with the adapter's other sites. */
  shared?: SharedShape[] | undefined;
}

export function encodeAdapter({adapter, active, config, shared = []}: AdapterRecord): SavedAdapter {
  return {name: JSON.stringify({adapter, active, config, ...(shared.length > 0 && {shared})})};
}

/**
 * What the adapters in a layer's config say.
 *
 * @throws ConfigError if one is not what {@link encodeAdapter} writes. The
 * adapters' own configs are not looked at.
 */
export function decodeAdapters(layerName: string, adapters: unknown): AdapterRecord[] {
  if (adapters == null) return [];
  return (Array.isArray(adapters) ? adapters : [adapters]).map((saved: Partial<SavedAdapter> | null) => {
    let record: Partial<AdapterRecord> | undefined;
    try {
      record = JSON.parse(saved!.name!) as Partial<AdapterRecord>;
    } catch {
      // Reported below, together with JSON of another form.
    }
    if (
      typeof record?.adapter !== 'string' ||
      typeof record.active !== 'boolean' ||
      typeof record.config !== 'object' ||
      !(record.shared === undefined || isSharedShapes(record.shared))
    ) {
      throw new ConfigError(
        `Layer '${layerName}': the saved adapter ${describe(saved)} is not of the form ` +
          `{name: '{"adapter", "active", "config"}'}. Save the model again, or repair its JSON.`,
      );
    }
    return record as AdapterRecord;
  });
}
