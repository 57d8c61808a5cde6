import * as tf from '@tensorflow/tfjs-core';
import {wasmPatch} from '../kernel-patches.js';
import {cast, using, type WasmCall} from '../repairs/infos.js';

type Attrs = {numSegments: number};

/** Sums of integers, exact where floats would not be; an id outside the segments drops its row. */
function ofIntegers({inputs, attrs, backend}: WasmCall<Attrs>): tf.TensorInfo {
  const {x, segmentIds} = inputs as {x: tf.TensorInfo; segmentIds: tf.TensorInfo};
  const segments = attrs.numSegments;
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

/** Makes UnsortedSegmentSum of integers and booleans one of integers. */
export const SEGMENT_SUM = wasmPatch<Attrs>(tf.UnsortedSegmentSum, 'dtype', (floats) => (call) => {
  const {inputs, backend} = call;
  const {dtype} = inputs.x!;
  if (dtype !== 'int32' && dtype !== 'bool') return floats(call);
  if (dtype === 'int32') return ofIntegers(call);
  const x = cast(inputs.x!, 'int32', backend);
  return using(backend, [x], () => ofIntegers({...call, inputs: {...inputs, x}}));
});
