import {ConfigError, PeftError} from '@tfjs-peft/kernels';
import type {AdapterConfig} from '../../core/adapters/adapter.js';
import type {NodeDef} from '../../core/io/graph-editor.js';
import {excess} from '../../core/io/json.js';
import {decodeText, encodeText} from '../../core/io/text-encoding.js';

/**
 * A site's own nodes as a small graph, from which the site can be recognised
 * again where it is saved in one node.
 */
export interface Fragment {
  /** The definitions of the site's node and of those behind it, as far as the site does their work. */
  nodes: NodeDef[];
  /** What the names in the fragment stand for: the inputs of the single node, in order. */
  inputs: {name: string; constant: boolean}[];
}

/** What a saved node says of its site. */
export interface SiteRecord {
  /** Version of this form. */
  schema: 1;
  /** The node's name, for errors. */
  node: string;
  config: AdapterConfig;
  /** Names of the adapter's weights, which are the last inputs of the node. */
  weights: string[];
  fragment: Fragment;
}

/** The attribute that holds a {@link SiteRecord}. */
export const RECORD = 'peft';

/**
 * A record as a text. The executor passes texts to custom ops in lower case, which hexadecimal digits
 * survive.
 */
export function encodeRecord(record: SiteRecord): string {
  const bytes = encodeText(JSON.stringify(record));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @throws ConfigError if it is not what {@link encodeRecord} gives. */
export function decodeRecord(text: string): SiteRecord {
  let record: Partial<SiteRecord> | undefined;
  try {
    const bytes = Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
    const json = decodeText(bytes);
    record = excess(json) === undefined ? (JSON.parse(json) as Partial<SiteRecord>) : undefined;
  } catch (error) {
    if (error instanceof PeftError) throw error;
    // Reported below, together with JSON of another form.
  }
  if (record?.schema !== 1 || !Array.isArray(record.weights) || !Array.isArray(record.fragment?.nodes)) {
    throw new ConfigError(
      'The adapter of a node was saved by another version of @tfjs-peft/layers, or is damaged. Save the ' +
        'model again.',
    );
  }
  return record as SiteRecord;
}
