import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {SiteDims} from '../../adapters/adapter.js';
import type {LayerSite} from '../layer-site.js';

/** The private fields of a stock Embedding that sites read. */
interface EmbeddingInternals {
  readonly embeddings: tfl.LayerVariable | null;
  readonly maskZero?: boolean;
}

/**
 * An Embedding, y = W[ids]. As in Hugging Face's PEFT a low-rank change is A[ids] B, in which A starts at zero and B at random. Routers
 * see the vector that was looked up; with `maskZero` the id 0 is padding to them.
 */
export const EMBEDDING: LayerSite = {
  kind: 'embedding',
  operation(layer) {
    const inside = layer as unknown as EmbeddingInternals;
    const table = () => inside.embeddings!.read() as tf.Tensor2D;
    return {
      get dims(): SiteDims {
        const [inputDim, outputDim] = inside.embeddings!.shape as [number, number];
        return {inputDim, outputDim, routerDim: outputDim, kind: 'lookup'};
      },
      get frozen() {
        return {kernel: table()};
      },
      base: (ids) => tf.gather(table(), ids),
      project: (ids, a) => tf.gather(a, ids),
      routed: (ids) => tf.gather(table(), ids),
    };
  },
  input: ({inputs: [ids]}) => (ids!.dtype === 'int32' ? ids! : tf.cast(ids!, 'int32')),
  mask: ({layer, inputs: [ids]}) =>
    (layer as unknown as EmbeddingInternals).maskZero ? tf.notEqual(ids!, 0) : undefined,
};
