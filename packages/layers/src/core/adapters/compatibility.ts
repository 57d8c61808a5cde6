import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {Adapter, SiteDims} from './adapter.js';

/**
 * Whether an adapter can act at a site.
 *
 * @param label What the error calls the site.
 * @throws UnsupportedSiteError if it cannot.
 */
export function checkCompatible(adapter: Adapter, dims: SiteDims, label: string): void {
  if (adapter.virtualTokens && dims.kind !== 'lookup') {
    throw new UnsupportedSiteError(
      `${label}: a ${adapter.type} adapter over a prompt puts tokens before those of an Embedding, which this is not. ` +
        'Set targets to the Embedding layer.',
    );
  }
  if (dims.kind !== 'scaling' || adapter.scalesOnly) return;
  throw new UnsupportedSiteError(
    `${label}: a ${adapter.type} adapter needs a product of the input and a matrix, but this output can only be scaled. ` +
      'Use ia3 or mov here, or leave the layer out of targets.',
  );
}
