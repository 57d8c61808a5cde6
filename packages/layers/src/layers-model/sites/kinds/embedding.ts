import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {lookup} from '../../../core/sites/operations/lookup.js';
import {inside} from '../../../core/tfjs/internals.js';
import type {LayerSite} from '../layer-site.js';

/** The private fields of a stock Embedding that sites read. */
interface EmbeddingInternals {
  readonly embeddings: tfl.LayerVariable | null;
  readonly maskZero?: boolean;
}

/** An Embedding; see {@link lookup}. With `maskZero` the id 0 is padding to routers. */
export const EMBEDDING: LayerSite = {
  kind: 'embedding',
  matrix: (layer) => inside<EmbeddingInternals>(layer).embeddings!,
  weights: (layer) => ({kernel: inside<EmbeddingInternals>(layer).embeddings!}),
  operation(layer) {
    const stock = inside<EmbeddingInternals>(layer);
    return lookup(() => stock.embeddings!.read() as tf.Tensor2D);
  },
  input: ({inputs: [ids]}) => (ids!.dtype === 'int32' ? ids! : tf.cast(ids!, 'int32')),
  mask: ({layer, inputs: [ids]}) =>
    inside<EmbeddingInternals>(layer).maskZero ? tf.notEqual(ids!, 0) : undefined,
};
