import * as tf from '@tensorflow/tfjs-core';
import type {Operation} from '../operation.js';

/**
 * A lookup y = W[ids] in a frozen table. As in Hugging Face's PEFT a low-rank change is A[ids] B, in which A
 * starts at zero and B at random. Routers see the vector that was looked up.
 *
 * @param table Asked at every call.
 */
export function lookup(table: () => tf.Tensor2D): Operation {
  return {
    get dims() {
      const [inputDim, outputDim] = table().shape;
      return {inputDim, outputDim, routerDim: outputDim, kind: 'lookup' as const};
    },
    get frozen() {
      return {kernel: table()};
    },
    base: (ids) => tf.gather(table(), ids),
    project: (ids, a) => tf.gather(a, ids),
    routed: (ids) => tf.gather(table(), ids),
  };
}
