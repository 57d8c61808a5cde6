import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '../errors.js';
import type {Repair, WasmCall} from './infos.js';

/*
 * Stock wasm kernels that go wherever an index, a beginning or a size sends them: refused here before they
 * do, as tfjs's cpu backend does.
 */

/** Throws unless each row of indices finds a place in `shape`. */
function checkIndices(kernelName: string, {inputs, backend}: WasmCall, shape: number[]): void {
  const {indices} = inputs as {indices: tf.TensorInfo};
  // A scalar or a vector holds places along one axis.
  const depth = indices.shape.length < 2 ? 1 : indices.shape[indices.shape.length - 1]!;
  if (depth > shape.length) {
    throw new ShapeError(
      `${kernelName} on wasm: indices [${indices.shape}] have ${depth} numbers per row, but [${shape}] has ` +
        'fewer axes.',
    );
  }
  const strides = [...tf.util.computeStrides(shape.slice(0, depth)), 1];
  const count = tf.util.sizeFromShape(shape.slice(0, depth));
  const values = backend.typedArrayFromHeap(indices);
  for (let at = 0; at < values.length; at += depth) {
    let place = 0;
    for (let i = 0; i < depth; i++) place += values[at + i]! * strides[i]!;
    if (place >= 0 && place < count) continue;
    const index = values.subarray(at, at + depth);
    throw new ConfigError(`${kernelName} on wasm: Invalid indices: ${index} does not index into ${shape}.`);
  }
}

const indexed =
  (kernelName: string, shapeOf: (call: WasmCall) => number[]): Repair =>
  (call, stock) => {
    checkIndices(kernelName, call, shapeOf(call));
    return stock(call);
  };

const slice: Repair = (call, stock) => {
  const {shape} = call.inputs.x!;
  const {begin: from, size: count} = call.attrs as {begin: number | number[]; size: number | number[]};
  // It refuses a negative beginning itself.
  const [begin, size] = tf.slice_util.parseSliceParams({shape} as tf.TensorInfo, from, count) as [
    number[],
    number[],
  ];
  if (begin.length > shape.length || shape.some((own, axis) => begin[axis]! + size[axis]! > own))
    throw new ConfigError(`Slice on wasm: begin [${begin}] and size [${size}] overflow x [${shape}].`);
  return stock(call);
};

/** Boxes say by number which image they are of. */
const cropAndResize: Repair = (call, stock) => {
  const {image, boxes, boxInd} = call.inputs;
  const images = image!.shape[0]!;
  if (boxInd!.shape[0] !== boxes!.shape[0])
    throw new ShapeError(
      `CropAndResize on wasm: boxInd [${boxInd!.shape}] is not as long as boxes [${boxes!.shape}].`,
    );
  for (const index of call.backend.typedArrayFromHeap(boxInd!)) {
    if (index >= 0 && index < images) continue;
    throw new ConfigError(`CropAndResize on wasm: boxInd has ${index}, but there are ${images} images.`);
  }
  return stock(call);
};

interface ConvolutionAttrs {
  strides: [number, number] | number;
  pad: 'valid' | 'same' | number;
  dataFormat: 'NHWC' | 'NCHW';
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  inputShape: [number, number, number, number];
}

/** The caller sets the size of the output, which decides how much of dy is read. */
const convolutionInput: Repair = (call, stock) => {
  const {dy, filter} = call.inputs;
  const {strides, pad, dataFormat, dimRoundingMode, inputShape} =
    call.attrs as Partial<ConvolutionAttrs> as ConvolutionAttrs;
  const {outShape} = tf.backend_util.computeConv2DInfo(
    inputShape,
    filter!.shape as [number, number, number, number],
    strides,
    1,
    pad,
    dimRoundingMode,
    false,
    tf.backend_util.convertConv2DDataFormat(dataFormat),
  );
  // One that is larger is read in part.
  if (tf.util.sizeFromShape(dy!.shape) < tf.util.sizeFromShape(outShape)) {
    throw new ShapeError(
      `Conv2DBackpropInput on wasm: dy has shape [${dy!.shape}], but an output of [${inputShape}] needs ` +
        `[${outShape}].`,
    );
  }
  return stock(call);
};

/** The repairs, by kernel. */
export const BOUND_REPAIRS: Record<string, Repair> = {
  [tf.GatherNd]: indexed(tf.GatherNd, ({inputs}) => inputs.params!.shape),
  [tf.ScatterNd]: indexed(tf.ScatterNd, ({attrs}) => attrs.shape as number[]),
  [tf.TensorScatterUpdate]: indexed(tf.TensorScatterUpdate, ({inputs}) => inputs.tensor!.shape),
  [tf.SparseToDense]: (call, stock) => {
    const {sparseIndices} = call.inputs;
    const named = {...call, inputs: {...call.inputs, indices: sparseIndices!}};
    checkIndices(tf.SparseToDense, named, call.attrs.outputShape as number[]);
    return stock(call);
  },
  [tf.Slice]: slice,
  [tf.CropAndResize]: cropAndResize,
  [tf.Conv2DBackpropInput]: convolutionInput,
};
