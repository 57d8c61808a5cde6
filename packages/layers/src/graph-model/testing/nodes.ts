import * as tf from '@tensorflow/tfjs-core';
import {GraphBuilder} from './builder.js';

/** A graph of one site. */
export interface NodeCase {
  build(): GraphBuilder;
  /** An input of the graph. */
  x: () => tf.Tensor;
  /** Kind and widths of the site. */
  kind: string;
  shape: [number, number];
  /**
   * How a low-rank change of the site is a change of its constant, of the shape of `w`: what is to be added
   * to `w` for A B. Undefined where the site can only be scaled.
   */
  change?: (a: tf.Tensor2D, b: tf.Tensor2D) => tf.Tensor;
}

const uniform = (shape: number[]) => () => tf.randomUniform(shape, -1, 1, 'float32', 3);
const product = (a: tf.Tensor2D, b: tf.Tensor2D) => tf.matMul(a, b);

function matMul(
  op: string,
  xShape: number[],
  wShape: number[],
  attributes: Record<string, boolean>,
): () => GraphBuilder {
  return () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, ...xShape.slice(1)]);
    graph.weight('w', wShape);
    return graph.output(graph.node(op, 'site', ['x', 'w'], attributes));
  };
}

function einsum(
  equation: string,
  xShape: number[],
  wShape: number[],
  weightFirst = false,
): () => GraphBuilder {
  return () => {
    const graph = new GraphBuilder();
    graph.input('x', xShape);
    graph.weight('w', wShape);
    const inputs = weightFirst ? ['w', 'x'] : ['x', 'w'];
    return graph.output(graph.node('Einsum', 'site', inputs, {equation, N: 2}));
  };
}

interface ConvOptions {
  op?: string;
  filter: number[];
  strides?: number[];
  padding?: string;
  dilations?: number[];
  fused?: string[];
  explicit?: number[];
}

function conv({
  op = 'Conv2D',
  filter,
  strides,
  padding = 'SAME',
  dilations,
  fused,
  explicit,
}: ConvOptions): () => GraphBuilder {
  return () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 6, 5, filter[2]!]);
    graph.weight('w', filter);
    const columns = op.includes('epthwise') ? filter[2]! * filter[3]! : filter[3]!;
    const inputs = ['x', 'w', ...(fused ? [graph.weight('b', [columns])] : [])];
    return graph.output(
      graph.node(op, 'site', inputs, {
        strides: [1, ...(strides ?? [1, 1]), 1],
        dilations: [1, ...(dilations ?? [1, 1]), 1],
        padding,
        data_format: 'NHWC',
        ...(explicit && {explicit_paddings: explicit}),
        ...(fused && {fused_ops: fused, num_args: 1}),
      }),
    );
  };
}

interface TransposedOptions {
  filter: number[];
  strides?: number[];
  padding: string;
  explicit?: number[];
  /** Height and width of the output. */
  to: number[];
  /** Whether the output's shape is computed and a bias and a relu follow. */
  behind?: boolean;
}

function transposed({filter, strides, padding, explicit, to, behind}: TransposedOptions): () => GraphBuilder {
  return () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 6, 5, filter[3]!]);
    graph.weight('w', filter);
    if (behind) {
      const [height, width, outputs] = [...to, filter[2]!].map((size, i) => graph.integers(`size${i}`, size));
      graph.node('Shape', 'shape', ['x'], {out_type: {type: 'DT_INT32'}});
      graph.integers('zero', [0]);
      graph.integers('one', [1]);
      graph.node('StridedSlice', 'batch', ['shape', 'zero', 'one', 'one'], {shrink_axis_mask: 1});
      graph.node('Pack', 'sizes', ['batch', height!, width!, outputs!], {axis: 0});
    } else graph.integers('sizes', [2, ...to, filter[2]!]);
    graph.node('Conv2DBackpropInput', 'site', ['sizes', 'w', 'x'], {
      strides: [1, ...(strides ?? [1, 1]), 1],
      padding,
      data_format: 'NHWC',
      ...(explicit && {explicit_paddings: explicit}),
    });
    if (!behind) return graph.output('site');
    graph.weight('b', [filter[2]!]);
    graph.node('BiasAdd', 'sum', ['site', 'b']);
    return graph.output(graph.node('Relu', 'y', ['sum']));
  };
}

/**
 * The change of a filter [height, width, outputs, channels] of that of its
 * matrix [window · channels, outputs].
 */
const ofTransposed = (filter: number[]) => (a: tf.Tensor2D, b: tf.Tensor2D) =>
  tf.transpose(tf.reshape(tf.matMul(a, b), [filter[0]!, filter[1]!, filter[3]!, filter[2]!]), [0, 1, 3, 2]);

const image = (channels: number) => uniform([2, 6, 5, channels]);
const ofFilter = (filter: number[]) => (a: tf.Tensor2D, b: tf.Tensor2D) =>
  tf.reshape(tf.matMul(a, b), filter);

/** Every way in which a node is a site, beyond the dialects. */
export const NODES: Record<string, NodeCase> = {
  'MatMul with transpose_b': {
    build: matMul('MatMul', [2, 4], [5, 4], {transpose_b: true}),
    x: uniform([2, 4]),
    kind: 'dense',
    shape: [4, 5],
    change: (a, b) => tf.transpose(tf.matMul(a, b)),
  },
  'MatMul with transpose_a': {
    build: matMul('MatMul', [4, 2], [4, 5], {transpose_a: true}),
    x: uniform([4, 2]),
    kind: 'dense',
    shape: [4, 5],
    change: product,
  },
  'BatchMatMulV2 with a weight of rank 3': {
    build: matMul('BatchMatMulV2', [2, 3, 4], [1, 4, 5], {adj_x: false, adj_y: false}),
    x: uniform([2, 3, 4]),
    kind: 'dense',
    shape: [4, 5],
    change: (a, b) => tf.expandDims(tf.matMul(a, b), 0),
  },
  'BatchMatMulV2 with adj_x and adj_y': {
    build: matMul('BatchMatMulV2', [2, 4, 3], [5, 4], {adj_x: true, adj_y: true}),
    x: uniform([2, 4, 3]),
    kind: 'dense',
    shape: [4, 5],
    change: (a, b) => tf.transpose(tf.matMul(a, b)),
  },
  'Einsum whose weight is out of order': {
    build: einsum('abc,dec->abde', [2, 3, 4], [2, 3, 4]),
    x: uniform([2, 3, 4]),
    kind: 'dense',
    shape: [4, 6],
    change: (a, b) => tf.transpose(tf.reshape(tf.matMul(a, b), [4, 2, 3]), [1, 2, 0]),
  },
  'Einsum whose output is out of order': {
    build: einsum('BTD,DNH->BNTH', [2, 3, 4], [4, 2, 3]),
    x: uniform([2, 3, 4]),
    kind: 'dense',
    shape: [4, 6],
    change: (a, b) => tf.reshape(tf.matMul(a, b), [4, 2, 3]),
  },
  'Einsum whose input is out of order, the weight first': {
    build: einsum('cd,abc->abd'.replace('abc', 'acb'), [2, 4, 3], [4, 5], true),
    x: uniform([2, 4, 3]),
    kind: 'dense',
    shape: [4, 5],
    change: product,
  },
  'Einsum over two axes': {
    build: einsum('abcd,cde->abe', [2, 3, 2, 2], [2, 2, 5]),
    x: uniform([2, 3, 2, 2]),
    kind: 'dense',
    shape: [4, 5],
    change: (a, b) => tf.reshape(tf.matMul(a, b), [2, 2, 5]),
  },
  'Conv2D 1x1': {
    build: conv({filter: [1, 1, 3, 4]}),
    x: image(3),
    kind: 'conv2d',
    shape: [3, 4],
    change: ofFilter([1, 1, 3, 4]),
  },
  '_FusedConv2D 1x1 with relu6': {
    build: conv({op: '_FusedConv2D', filter: [1, 1, 3, 4], fused: ['BiasAdd', 'Relu6']}),
    x: image(3),
    kind: 'conv2d',
    shape: [3, 4],
    change: ofFilter([1, 1, 3, 4]),
  },
  '_FusedConv2D 3x3 with strides': {
    build: conv({op: '_FusedConv2D', filter: [3, 3, 3, 4], strides: [2, 2], fused: ['BiasAdd', 'Relu']}),
    x: image(3),
    kind: 'conv2d',
    shape: [27, 4],
    change: ofFilter([3, 3, 3, 4]),
  },
  'Conv2D 3x3, valid and dilated': {
    build: conv({filter: [3, 3, 3, 4], padding: 'VALID', dilations: [2, 2]}),
    x: image(3),
    kind: 'conv2d',
    shape: [27, 4],
    change: ofFilter([3, 3, 3, 4]),
  },
  'Conv2D 3x3 with explicit padding': {
    build: conv({filter: [3, 3, 3, 4], padding: 'EXPLICIT', explicit: [0, 0, 1, 0, 2, 1, 0, 0]}),
    x: image(3),
    kind: 'conv2d',
    shape: [27, 4],
    change: ofFilter([3, 3, 3, 4]),
  },
  DepthwiseConv2dNative: {
    build: conv({op: 'DepthwiseConv2dNative', filter: [3, 3, 3, 2], strides: [2, 2]}),
    x: image(3),
    kind: 'depthwiseConv2d',
    shape: [9, 6],
  },
  FusedDepthwiseConv2dNative: {
    build: conv({op: 'FusedDepthwiseConv2dNative', filter: [3, 3, 3, 1], fused: ['BiasAdd', 'Relu6']}),
    x: image(3),
    kind: 'depthwiseConv2d',
    shape: [9, 3],
  },
  ...Object.fromEntries(
    [
      {name: 'Conv2DBackpropInput', filter: [3, 3, 4, 3], strides: [2, 2], padding: 'SAME', to: [12, 9]},
      {name: 'Conv2DBackpropInput, valid', filter: [3, 2, 4, 3], padding: 'VALID', to: [8, 6]},
      {
        name: 'Conv2DBackpropInput of a shape that is computed, with bias and relu behind it',
        filter: [3, 3, 4, 3],
        padding: 'SAME',
        strides: [2, 1],
        to: [12, 5],
        behind: true,
      },
      {
        name: 'Conv2DBackpropInput with explicit padding',
        filter: [3, 3, 4, 3],
        padding: 'EXPLICIT',
        explicit: [0, 0, 1, 0, 2, 1, 0, 0],
        to: [7, 4],
      },
    ].map(({name, ...options}): [string, NodeCase] => [
      name,
      {
        build: transposed(options),
        x: image(3),
        kind: 'conv2dTranspose',
        shape: [tf.util.sizeFromShape(options.filter) / 4, 4],
        change: ofTransposed(options.filter),
      },
    ]),
  ),
  GatherV2: {
    build: () => {
      const graph = new GraphBuilder();
      graph.input('x', [-1, 3], 'DT_INT32');
      graph.weight('w', [7, 4]);
      graph.integers('axis', 0);
      return graph.output(graph.node('GatherV2', 'site', ['w', 'x', 'axis'], {batch_dims: 0}));
    },
    x: () =>
      tf.tensor2d(
        [
          [0, 3, 6],
          [2, 2, 1],
        ],
        [2, 3],
        'int32',
      ),
    kind: 'embedding',
    shape: [7, 4],
    change: product,
  },
};
