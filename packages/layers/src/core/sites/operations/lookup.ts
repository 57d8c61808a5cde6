import * as tf from '@tensorflow/tfjs-core';
import {isPacked, unpackRows} from '@tfjs-peft/kernels';
import {asKernel} from '../../tfjs/packed-variable.js';
import type {Operation} from '../operation.js';

/**
 * A lookup y = W[ids] in a frozen table. As in Hugging Face's PEFT a low-rank change is A[ids] B, in which A
 * starts at zero and B at random. Routers see the vector that was looked up.
 *
 * @param table Asked at every call.
 */
export function lookup(table: () => tf.Tensor2D): Operation {
  const rows = (ids: tf.Tensor): tf.Tensor => {
    const whole = table();
    const rows = asKernel(whole);
    return isPacked(rows) ? unpackRows(rows, ids) : tf.gather(whole, ids);
  };
  return {
    get dims() {
      const [inputDim, outputDim] = table().shape;
      return {inputDim, outputDim, routerDim: outputDim, kind: 'lookup' as const};
    },
    get frozen() {
      return {kernel: table()};
    },
    base: rows,
    project: (ids, a) => tf.gather(a, ids),
    routed: rows,
  };
}
