import * as tf from '@tensorflow/tfjs-core';
import {attach} from '../backends/wasm/attach.js';
import {columnSums} from '../backends/wasm/column-sum.js';
import {wasmPatch} from '../kernel-patches.js';

type Attrs = tf.SumAttrs & {keepDims?: boolean};

/**
 * Makes the wasm backend's Sum over leading axes a single pass, where stock transposes first. It is the
 * gradient of everything that was broadcast over a batch.
 */
export const SUM = wasmPatch<Attrs>(tf.Sum, 'training', (stock) => (call) => {
  const x = call.inputs.x!;
  const {axis, keepDims} = call.attrs;
  const axes = [...tf.util.parseAxisParam(axis, x.shape)].sort((a, b) => a - b);
  const leading = axes.length < x.shape.length && axes.every((at, i) => at === i);
  if (x.dtype !== 'float32' || axes.length === 0 || !leading) return stock(call);
  const kept = x.shape.slice(axes.length);
  const sizes: [number, number] = [
    tf.util.sizeFromShape(x.shape.slice(0, axes.length)),
    tf.util.sizeFromShape(kept),
  ];
  const out = columnSums(attach(call.backend), {a: x}, sizes);
  return {...out, shape: keepDims ? [...axes.map(() => 1), ...kept] : kept};
});
