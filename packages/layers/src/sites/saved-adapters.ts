import {ConfigError} from '@tfjs-peft/kernels';
import type {AdapterConfig} from '../adapters/adapter.js';

/**
 * An adapter in a layer's config. tfjs-layers rewrites the case of every key and string on saving and loading, except for strings
 * under a key called `name`; so all there is to say is one JSON text under that key.
 */
export interface SavedAdapter {
  name: string;
}

/** What that text says. */
export interface AdapterRecord {
  adapter: string;
  active: boolean;
  config: AdapterConfig;
}

export function encodeAdapter({adapter, active, config}: AdapterRecord): SavedAdapter {
  return {name: JSON.stringify({adapter, active, config})};
}

/** @throws ConfigError if the text is not what {@link encodeAdapter} writes. The adapter's own config is not looked at. */
export function decodeAdapter(layerName: string, saved: SavedAdapter): AdapterRecord {
  let record: Partial<AdapterRecord> | undefined;
  try {
    record = JSON.parse(saved.name) as Partial<AdapterRecord>;
  } catch {
    // Reported below, together with JSON of another form.
  }
  if (
    typeof record?.adapter !== 'string' ||
    typeof record.active !== 'boolean' ||
    typeof record.config !== 'object'
  ) {
    throw new ConfigError(
      `Layer '${layerName}': the saved adapter ${JSON.stringify(saved?.name)} is not of the form ` +
        `{"adapter", "active", "config"}. Save the model again, or repair its JSON.`,
    );
  }
  return record as AdapterRecord;
}
