import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '../errors.js';
import {wasmPatch} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';

/*
 * The kernels of ours that the wasm backend lacks take their sizes from attributes and some of their inputs.
 * tfjs's gradients call them with what fits; whoever calls them otherwise is refused before anything is read
 * or written.
 */

type Shape4D = [number, number, number, number];

interface WindowAttrs {
  strides: [number, number] | number;
  dilations?: [number, number] | number;
  pad: 'valid' | 'same' | number;
  dataFormat?: 'NHWC' | 'NCHW';
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  filterShape: Shape4D;
  inputShape: Shape4D;
  filterSize: [number, number] | number;
}

type Inputs = Record<string, tf.TensorInfo>;

type Attrs = WindowAttrs & {numSegments: number};

/** What is wrong with a call, if anything is. */
type Check = (inputs: Inputs, attrs: Attrs) => string | undefined;

/** Whether dy is what a window over an image, or that image itself, makes. */
function windowComplaint(
  image: number[],
  filter: number[],
  dy: number[],
  a: WindowAttrs,
  depthwise: boolean,
): string | undefined {
  if (image.length !== 4 || filter.length !== 4)
    return `the image [${image}] and the filter [${filter}] must have four axes`;
  // The kernels refuse this themselves, with their own message.
  if (a.dataFormat === 'NCHW') return undefined;
  if (image[3] !== filter[2])
    return `the image [${image}] has ${image[3]} channels, but the filter [${filter}] takes ${filter[2]}`;
  const {outShape} = tf.backend_util.computeConv2DInfo(
    image as Shape4D,
    filter as Shape4D,
    a.strides,
    a.dilations ?? 1,
    a.pad,
    a.dimRoundingMode,
    depthwise,
  );
  return misfit(dy, outShape);
}

function misfit(dy: number[], wanted: number[]): string | undefined {
  return tf.util.arraysEqual(dy, wanted) ? undefined : `dy has shape [${dy}], but must be [${wanted}]`;
}

const FLOATS: Record<string, Check> = {
  Conv2DBackpropFilter: ({x, dy}, a) => windowComplaint(x!.shape, a.filterShape, dy!.shape, a, false),
  DepthwiseConv2dNativeBackpropFilter: ({x, dy}, a) =>
    windowComplaint(x!.shape, a.filterShape, dy!.shape, a, true),
  DepthwiseConv2dNativeBackpropInput: ({dy, filter}, a) =>
    windowComplaint(a.inputShape, filter!.shape, dy!.shape, a, true),
  MaxPoolGrad: ({dy, input}, a) => {
    if (input!.shape.length !== 4) return `input [${input!.shape}] must have four axes`;
    const {filterSize, strides, pad, dimRoundingMode} = a;
    const image = input!.shape as Shape4D;
    const {outShape} = tf.backend_util.computePool2DInfo(image, filterSize, strides, 1, pad, dimRoundingMode);
    return misfit(dy!.shape, outShape);
  },
};

const floats =
  (check: Check): Check =>
  (inputs, attrs) => {
    const other = Object.entries(inputs).find(([, {dtype}]) => dtype !== 'float32');
    if (other !== undefined) return `${other[0]} is ${other[1].dtype}, but must be float32`;
    return check(inputs, attrs);
  };

const CHECKS: Record<string, Check> = {
  ...Object.fromEntries(Object.entries(FLOATS).map(([name, check]) => [name, floats(check)])),
  UnsortedSegmentSum: ({x, segmentIds}, {numSegments}) => {
    if (segmentIds!.dtype !== 'int32') return `segmentIds are ${segmentIds!.dtype}, but must be int32`;
    const leading = x!.shape.slice(0, segmentIds!.shape.length);
    if (!tf.util.arraysEqual(segmentIds!.shape, leading))
      return `segmentIds have shape [${segmentIds!.shape}], with which x [${x!.shape}] must begin`;
    if (Number.isInteger(numSegments) && numSegments >= 0) return undefined;
    return `numSegments is ${numSegments}, but must be a whole number of at least 0`;
  },
};

/** Compares the shapes of the inputs of those kernels. */
export const SHAPE_CHECKS: AnyPatch[] = Object.entries(CHECKS).map(([name, check]) =>
  wasmPatch<Attrs>(name, 'shapes', (kernel) => (call) => {
    const complaint = check(call.inputs, call.attrs);
    if (complaint !== undefined) throw new ShapeError(`${name} on wasm: ${complaint}.`);
    return kernel(call);
  }),
);
