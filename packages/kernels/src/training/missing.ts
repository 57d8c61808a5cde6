import * as tf from '@tensorflow/tfjs-core';
import {attach, type WasmKernels} from '../backends/wasm/attach.js';
import {ConfigError} from '../errors.js';
import {einsumByProducts} from '../gradients/einsum.js';
import {type Kernel, suppliedKernel} from '../kernel-patches.js';
import type {AnyPatch} from '../patches.js';

type WasmKernel = (
  inputs: Record<string, tf.TensorInfo>,
  attrs: ConvAttrs & {numSegments: number},
  wasm: WasmKernels,
) => tf.TensorInfo;

type Window2D = tf.backend_util.Conv2DInfo;

const FLOAT = 4;
const SIZES = 12;

/**
 * Writes a window's numbers where the wasm module reads them, and returns what else of the scratch is free.
 */
function writeSizes(wasm: WasmKernels, scratch: number, info: Window2D): number {
  wasm.write(scratch, [
    info.inHeight,
    info.inWidth,
    info.outHeight,
    info.outWidth,
    info.filterHeight,
    info.filterWidth,
    info.strideHeight,
    info.strideWidth,
    info.dilationHeight,
    info.dilationWidth,
    info.padInfo.top,
    info.padInfo.left,
  ]);
  return scratch + SIZES * FLOAT;
}

function refuseChannelsFirst(kernel: string, info: Window2D): void {
  if (info.dataFormat !== 'channelsLast') {
    throw new ConfigError(`${kernel} on wasm: data format NCHW is not supported. Transpose to NHWC.`);
  }
}

/** A tensor of zeros, for kernels that add to their output. */
function zeros(wasm: WasmKernels, shape: number[]): {info: tf.TensorInfo; pointer: number} {
  const info = wasm.output(shape);
  const pointer = wasm.pointerTo(info);
  wasm.zero(pointer, tf.util.sizeFromShape(shape) * FLOAT);
  return {info, pointer};
}

interface ConvAttrs {
  strides: [number, number] | number;
  dilations?: [number, number] | number;
  pad: 'valid' | 'same' | number;
  dataFormat?: 'NHWC' | 'NCHW';
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  filterShape: [number, number, number, number];
  inputShape: [number, number, number, number];
  filterSize: [number, number] | number;
}

type Shape4D = [number, number, number, number];

function depthwise(
  wasm: WasmKernels,
  image: number,
  dy: tf.TensorInfo,
  filter: number,
  info: Window2D,
  toFilter: boolean,
): void {
  const scratch = wasm.scratch(SIZES * FLOAT);
  writeSizes(wasm, scratch, info);
  const multiplier = info.outChannels / info.inChannels;
  const imageBytes = info.inHeight * info.inWidth * info.inChannels * FLOAT;
  const dyBytes = info.outHeight * info.outWidth * info.outChannels * FLOAT;
  const pDy = wasm.pointerTo(dy);
  for (let n = 0; n < info.batchSize; n++) {
    const [at, dyAt] = [image + n * imageBytes, pDy + n * dyBytes];
    wasm.exports.depthwiseGradient(at, dyAt, filter, info.inChannels, multiplier, Number(toFilter), scratch);
  }
}

function depthwiseInfo(inputShape: Shape4D, attrs: ConvAttrs): Window2D {
  return tf.backend_util.computeConv2DInfo(
    inputShape,
    attrs.filterShape,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    true,
  );
}

const kernels: Record<string, WasmKernel> = {
  UnsortedSegmentSum: (inputs, a, wasm) => {
    const {x, segmentIds} = inputs as {x: tf.TensorInfo; segmentIds: tf.TensorInfo};
    const segments = a.numSegments;
    const rows = tf.util.sizeFromShape(segmentIds.shape);
    const entry = x.shape.slice(segmentIds.shape.length);
    const out = wasm.output([segments, ...entry]);
    const [pX, pIds, pOut] = [x, segmentIds, out].map((t) => wasm.pointerTo(t)) as [number, number, number];
    wasm.exports.segmentSum(pX, pIds, pOut, rows, tf.util.sizeFromShape(entry), segments);
    return out;
  },

  Conv2DBackpropFilter: (inputs, a, wasm) => {
    const {x, dy} = inputs as {x: tf.TensorInfo; dy: tf.TensorInfo};
    const format = tf.backend_util.convertConv2DDataFormat(a.dataFormat ?? 'NHWC');
    const info = tf.backend_util.computeConv2DInfo(
      x.shape as Shape4D,
      a.filterShape,
      a.strides,
      a.dilations ?? 1,
      a.pad,
      a.dimRoundingMode,
      false,
      format,
    );
    refuseChannelsFirst('Conv2DBackpropFilter', info);
    const pixels = info.outHeight * info.outWidth;
    const taps = info.filterHeight * info.filterWidth * info.inChannels;
    const columns = info.outChannels;
    const out = zeros(wasm, a.filterShape);
    // One image at a time: the patches of a batch can be larger than all else.
    const one = taps * columns;
    const product = wasm.exports.gemmScratch(taps, columns, pixels, 1);
    const sizes = wasm.scratch((SIZES + pixels * taps + one) * FLOAT + product);
    const patches = writeSizes(wasm, sizes, info);
    const sum = patches + pixels * taps * FLOAT;
    const [pX, pDy] = [wasm.pointerTo(x), wasm.pointerTo(dy)];
    const [imageBytes, dyBytes] = [
      info.inHeight * info.inWidth * info.inChannels * FLOAT,
      pixels * columns * FLOAT,
    ];
    for (let n = 0; n < info.batchSize; n++) {
      wasm.exports.patches(pX + n * imageBytes, patches, info.inChannels, sizes);
      const scratch = sum + one * FLOAT;
      wasm.exports.gemm(
        patches,
        pDy + n * dyBytes,
        sum,
        1,
        taps,
        columns,
        pixels,
        0,
        0,
        columns,
        1,
        0,
        scratch,
      );
      wasm.exports.addTo(sum, out.pointer, one);
    }
    return out.info;
  },

  DepthwiseConv2dNativeBackpropFilter: (inputs, a, wasm) => {
    const {x, dy} = inputs as {x: tf.TensorInfo; dy: tf.TensorInfo};
    const info = depthwiseInfo(x.shape as Shape4D, a);
    const out = zeros(wasm, info.filterShape);
    depthwise(wasm, wasm.pointerTo(x), dy, out.pointer, info, true);
    return out.info;
  },

  DepthwiseConv2dNativeBackpropInput: (inputs, a, wasm) => {
    const {dy, filter} = inputs as {dy: tf.TensorInfo; filter: tf.TensorInfo};
    const info = depthwiseInfo(a.inputShape, {...a, filterShape: filter.shape as Shape4D});
    const out = zeros(wasm, info.inShape);
    depthwise(wasm, out.pointer, dy, wasm.pointerTo(filter), info, false);
    return out.info;
  },

  // Stock's does not send a window's gradient to the entry that won.
  MaxPoolGrad: (inputs, a, wasm) => {
    const {dy, input} = inputs as {dy: tf.TensorInfo; input: tf.TensorInfo};
    const info = tf.backend_util.computePool2DInfo(
      input.shape as Shape4D,
      a.filterSize,
      a.strides,
      1,
      a.pad,
      a.dimRoundingMode,
    );
    const out = zeros(wasm, info.inShape);
    const sizes = wasm.scratch(SIZES * FLOAT);
    writeSizes(wasm, sizes, info);
    const [pX, pDy] = [wasm.pointerTo(input), wasm.pointerTo(dy)];
    const imageBytes = info.inHeight * info.inWidth * info.inChannels * FLOAT;
    const dyBytes = info.outHeight * info.outWidth * info.inChannels * FLOAT;
    for (let n = 0; n < info.batchSize; n++) {
      const at = n * imageBytes;
      wasm.exports.maxPoolGradient(pX + at, pDy + n * dyBytes, out.pointer + at, info.inChannels, sizes);
    }
    return out.info;
  },
};

const einsum: Kernel<tf.EinsumAttrs> = ({inputs, attrs: {equation}}) =>
  tf.tidy(() => {
    const operands = Object.values(inputs) as tf.Tensor[];
    // What the other backends' kernels refuse, this one refuses with the same words.
    const {allDims, idDims} = tf.backend_util.decodeEinsumEquation(equation, operands.length);
    tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, operands);
    return einsumByProducts(equation, operands);
  });

/** The kernels that the wasm backend lacks for training, and MaxPoolGrad, which it has wrong. */
export const MISSING_KERNELS: AnyPatch[] = [
  suppliedKernel('Einsum', 'wasm', 'training', einsum),
  ...Object.entries(kernels).map(([name, kernel]) =>
    suppliedKernel<Parameters<WasmKernel>[1]>(name, 'wasm', 'training', ({inputs, attrs, backend}) =>
      kernel(inputs, attrs, attach(backend)),
    ),
  ),
];
