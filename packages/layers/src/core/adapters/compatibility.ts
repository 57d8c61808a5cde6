import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import type {Adapter, SiteDims} from './adapter.js';

/**
 * Checks that an adapter can act at a site.
 *
 * @param label Names the site in the error.
 * @throws UnsupportedSiteError if it cannot.
 */
export function checkCompatible(adapter: Adapter, dims: SiteDims, label: string): void {
  if (adapter.virtualTokens && dims.kind !== 'lookup') {
    throw new UnsupportedSiteError(
      `${label}: a ${adapter.type} adapter over a prompt needs an Embedding, which this is not. ` +
        'Set targets to the Embedding layer.',
    );
  }
  if (dims.kind !== 'scaling' || adapter.scalesOnly) return;
  throw new UnsupportedSiteError(
    `${label}: a ${adapter.type} adapter needs a product of the input and a matrix, but this output can ` +
      'only be scaled. Use ia3 or mov here, or remove the layer from targets.',
  );
}
