import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {gradientPatch, gradientWrap} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';
import {type Axis, convolutionByTaps, place} from './taps.js';

interface Attributes {
  strides: [number, number] | number;
  pad: Parameters<typeof tf.backend_util.computeConv2DInfo>[4];
  dataFormat?: 'NHWC' | 'NCHW';
  dilations?: [number, number] | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

type Shape4D = [number, number, number, number];

/** What tfjs's convolution info says about one spatial axis. */
type AxisInfo<Name extends string> = Record<
  `${'in' | 'out' | 'filter' | 'stride' | 'dilation'}${Name}`,
  number
>;

function axisOf<Name extends string>(info: AxisInfo<Name>, name: Name, before: number): Axis {
  return {
    input: info[`in${name}`],
    output: info[`out${name}`],
    taps: info[`filter${name}`],
    stride: info[`stride${name}`],
    dilation: info[`dilation${name}`],
    before,
  };
}

function axesOf(x: tf.Tensor, filter: tf.Tensor, attributes: Attributes, depthwise: boolean): [Axis, Axis] {
  const {strides, pad, dilations = 1, dimRoundingMode} = attributes;
  const info = tf.backend_util.computeConv2DInfo(
    x.shape as Shape4D,
    filter.shape as Shape4D,
    strides,
    dilations,
    pad,
    dimRoundingMode,
    depthwise,
  );
  return [axisOf(info, 'Height', info.padInfo.top), axisOf(info, 'Width', info.padInfo.left)];
}

/**
 * The gradients of a dilated depthwise convolution, which has no strides. The gradient of the input is itself
 * a dilated depthwise convolution, with the filter reversed; that of the filter is one sum per tap.
 */
function dilatedDepthwise(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  filter: tf.Tensor4D,
  axes: [Axis, Axis],
): {x: () => tf.Tensor; filter: () => tf.Tensor} {
  const [height, width, channels, multiplier] = filter.shape;
  const columns = channels * multiplier;
  const [rows, cols] = axes;
  return {
    x: () => {
      const reach = ({taps, dilation}: Axis): number => (taps - 1) * dilation;
      const padded = place(
        dy,
        axes.map((axis) => reach(axis) - axis.before),
        axes.map((axis) => axis.input + reach(axis)),
      ) as tf.Tensor4D;
      const turned = tf.reshape(tf.reverse(filter, [0, 1]), [height, width, columns, 1]) as tf.Tensor4D;
      const dilations: [number, number] = [rows.dilation, cols.dilation];
      const each = tf.depthwiseConv2d(padded, turned, 1, 'valid', 'NHWC', dilations);
      if (multiplier === 1) return each;
      return tf.reshape(tf.sum(tf.reshape(each, [-1, channels, multiplier]), 2), x.shape);
    },
    filter: () => {
      const upstream = tf.reshape(dy, [-1, channels, multiplier]);
      const size = dy.shape.slice(1, -1);
      const parts = Array.from({length: height * width}, (_, i) => {
        const tap = [Math.floor(i / width), i % width];
        const read = place(
          x,
          axes.map(({before, dilation}, axis) => before - tap[axis]! * dilation),
          size,
        );
        return tf.sum(tf.mul(tf.reshape(read, [-1, channels, 1]), upstream), 0);
      });
      return tf.reshape(tf.stack(parts), filter.shape);
    },
  };
}

/**
 * Stock tfjs refuses the gradient of a dilated convolution; without dilations, the stock gradient is used.
 */
const dilated = (kernelName: 'Conv2D' | 'DepthwiseConv2dNative'): AnyPatch =>
  gradientWrap<Attributes>(kernelName, (stock) => (dy, saved, attributes) => {
    if ([attributes.dilations ?? 1].flat().every((size) => size === 1)) return stock(dy, saved, attributes);
    if (attributes.dataFormat === 'NCHW') {
      throw new ConfigError(
        `${kernelName}: no gradient of a dilated convolution in NCHW. Transpose to NHWC.`,
      );
    }
    const [x, filter] = saved as [tf.Tensor4D, tf.Tensor4D];
    const depthwise = kernelName !== 'Conv2D';
    const axes = axesOf(x, filter, attributes, depthwise);
    return depthwise
      ? dilatedDepthwise(dy as tf.Tensor4D, x, filter, axes)
      : convolutionByTaps(dy, x, filter, axes);
  });

interface Attributes3D {
  strides: [number, number, number] | number;
  pad: 'valid' | 'same';
  dilations?: [number, number, number] | number;
}

/**
 * Gradients of convolutions that stock tfjs lacks or has wrong: dilated Conv2D and DepthwiseConv2dNative, and
 * Conv3D, which it refuses with dilations and whose kernels on the wasm backend are wrong. That of a dilated
 * convolution in NCHW is a ConfigError.
 */
export const CONVOLUTION_GRADIENTS: AnyPatch[] = [
  dilated('Conv2D'),
  dilated('DepthwiseConv2dNative'),
  gradientPatch<Attributes3D>({
    kernelName: 'Conv3D',
    inputsToSave: ['x', 'filter'],
    gradFunc: (dy, saved, {strides, pad, dilations = 1}) => {
      const [x, filter] = saved as [tf.Tensor5D, tf.Tensor5D];
      const info = tf.backend_util.computeConv3DInfo(x.shape, filter.shape, strides, dilations, pad);
      const {front, top, left} = info.padInfo;
      const axes = [axisOf(info, 'Depth', front), axisOf(info, 'Height', top), axisOf(info, 'Width', left)];
      return convolutionByTaps(dy, x, filter, axes);
    },
  }),
];
