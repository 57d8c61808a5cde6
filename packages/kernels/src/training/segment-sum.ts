import * as tf from '@tensorflow/tfjs-core';
import {overrideKernel, restoreKernel} from '../kernel-overrides.js';
import {cast, type WasmCall} from '../repairs/infos.js';

const REASON = {reason: 'dtype'};

/** Sums of integers, exact where floats would not be; an id outside the segments drops its row. */
function ofIntegers({inputs, attrs, backend}: WasmCall): tf.TensorInfo {
  const {x, segmentIds} = inputs as {x: tf.TensorInfo; segmentIds: tf.TensorInfo};
  const segments = attrs.numSegments as number;
  const entry = x.shape.slice(segmentIds.shape.length);
  const width = tf.util.sizeFromShape(entry);
  const out = backend.makeOutput([segments, ...entry], 'int32');
  const [from, ids, to] = [x, segmentIds, out].map((t) => backend.typedArrayFromHeap(t)) as [
    tf.TypedArray,
    tf.TypedArray,
    tf.TypedArray,
  ];
  to.fill(0);
  ids.forEach((id, row) => {
    if (id < 0 || id >= segments) return;
    for (let i = 0; i < width; i++) to[id * width + i]! += from[row * width + i]!;
  });
  return out;
}

function byDtype(floats: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const own = call as unknown as WasmCall;
    const {dtype} = own.inputs.x!;
    if (dtype !== 'int32' && dtype !== 'bool') return floats(call);
    if (dtype === 'int32') return ofIntegers(own);
    const x = cast(own.inputs.x!, 'int32', own.backend);
    try {
      return ofIntegers({...own, inputs: {...own.inputs, x}});
    } finally {
      own.backend.disposeData(x.dataId);
    }
  };
}

/** Makes UnsortedSegmentSum of integers and booleans one of integers. */
export function registerSegmentSum(): void {
  overrideKernel(tf.UnsortedSegmentSum, byDtype, REASON);
}

export function unregisterSegmentSum(): void {
  restoreKernel(tf.UnsortedSegmentSum, REASON);
}
