import type {Dense, Values} from './encoder-weights.js';
import type {GraphWriter} from './graph-writer.js';

/** `x W + b` for x [B, T, inputs], written in one of the ways that reach tfjs. Returns the last node. */
export type Project = (graph: GraphWriter, name: string, x: string, weights: Dense) => string;

const constant = (graph: GraphWriter, name: string, {shape, values}: Values) =>
  graph.float(name, shape, values);

/**
 * A Keras Dense on rank 3, and all of Hugging Face's TF models: `tf.tensordot` with its shape arithmetic, and
 * a bias after the reshape.
 */
export const tensordot: Project = (graph, name, x, {kernel, bias}) => {
  const at = (part: string) => `${name}/Tensordot/${part}`;
  const w = constant(graph, at('ReadVariableOp'), kernel);
  const int = {Tshape: {type: 'DT_INT32'}, T: {type: 'DT_FLOAT'}};
  const ints = {T: {type: 'DT_INT32'}};
  const shape = graph.node(at('Shape'), 'Shape', [x], {out_type: {type: 'DT_INT32'}});
  const gather = (part: string, axes: number[]) =>
    graph.node(
      at(part),
      'GatherV2',
      [shape, graph.ints(at(`${part}/indices`), axes), graph.ints(at(`${part}/axis`), 0)],
      {batch_dims: 0, Tparams: {type: 'DT_INT32'}, Tindices: {type: 'DT_INT32'}},
    );
  const free = gather('GatherV2', [0, 1]);
  const contracted = gather('GatherV2_1', [2]);
  const prod = (part: string, of: string, axes: string) =>
    graph.node(at(part), 'Prod', [of, graph.ints(at(axes), [0])], {keep_dims: false, ...ints});
  const stack = graph.node(
    at('stack'),
    'Pack',
    [prod('Prod', free, 'Const'), prod('Prod_1', contracted, 'Const_1')],
    {N: 2, axis: 0, ...ints},
  );
  const rows = graph.node(at('Reshape'), 'Reshape', [x, stack], int);
  const product = graph.node(at('MatMul'), 'MatMul', [rows, w], {transpose_a: false, transpose_b: false});
  const size = graph.node(
    at('concat_1'),
    'ConcatV2',
    [free, graph.ints(at('Const_2'), [kernel.shape[1]!]), graph.ints(at('concat_1/axis'), 0)],
    {N: 2, ...ints},
  );
  const y = graph.node(`${name}/Tensordot`, 'Reshape', [product, size], int);
  return graph.node(
    `${name}/BiasAdd`,
    'BiasAdd',
    [y, constant(graph, `${name}/BiasAdd/ReadVariableOp`, bias)],
    {
      data_format: 'NHWC',
    },
  );
};

/** An explicit reshape to rank 2, matmul and bias: one `_FusedMatMul`. */
export const fused: Project = (graph, name, x, {kernel, bias}) => {
  const [inputs, outputs] = kernel.shape as [number, number];
  const rows = graph.node(`${name}/Reshape`, 'Reshape', [
    x,
    graph.ints(`${name}/Reshape/shape`, [-1, inputs]),
  ]);
  const product = graph.node(
    `${name}/BiasAdd`,
    '_FusedMatMul',
    [
      rows,
      constant(graph, `${name}/MatMul/ReadVariableOp`, kernel),
      constant(graph, `${name}/BiasAdd/ReadVariableOp`, bias),
    ],
    {
      transpose_a: false,
      transpose_b: false,
      fused_ops: ['BiasAdd'],
      num_args: 1,
      epsilon: {f: 0},
      leakyrelu_alpha: {f: 0.2},
    },
  );
  const shape = shapeWith(graph, `${name}/Reshape_1`, x, outputs);
  return graph.node(`${name}/Reshape_1`, 'Reshape', [product, shape]);
};

/** `tf.matmul` of rank 3 and rank 2. */
export const batched: Project = (graph, name, x, {kernel, bias}) => {
  const w = constant(graph, `${name}/MatMul/ReadVariableOp`, kernel);
  const product = graph.node(`${name}/MatMul`, 'BatchMatMulV2', [x, w], {adj_x: false, adj_y: false});
  return graph.node(`${name}/add`, 'AddV2', [product, constant(graph, `${name}/add/ReadVariableOp`, bias)]);
};

/** Keras 3, whose kernel is read through a cast: the same product, and a bias of its own kind. */
export const keras3Dense: Project = (graph, name, x, {kernel, bias}) => {
  const w = constant(graph, `${name}/Cast/ReadVariableOp`, kernel);
  const product = graph.node(`${name}/MatMul`, 'BatchMatMulV2', [x, w], {adj_x: false, adj_y: false});
  return graph.node(
    `${name}/BiasAdd`,
    'BiasAdd',
    [product, constant(graph, `${name}/Cast_1/ReadVariableOp`, bias)],
    {
      data_format: 'NHWC',
    },
  );
};

/** The shape of x with another last axis, as the converter leaves `tf.shape(x)[i]` behind. */
export function shapeWith(graph: GraphWriter, name: string, x: string, ...last: number[]): string {
  const shape = graph.node(`${name}/Shape`, 'Shape', [x], {out_type: {type: 'DT_INT32'}});
  const parts = [
    axis(graph, `${name}/strided_slice`, shape, 0),
    axis(graph, `${name}/strided_slice_1`, shape, 1),
  ];
  const sizes = last.map((size, i) => graph.ints(`${name}/shape/${i + 2}`, size));
  return graph.node(`${name}/shape`, 'Pack', [...parts, ...sizes], {
    N: parts.length + sizes.length,
    axis: 0,
    T: {type: 'DT_INT32'},
  });
}

function axis(graph: GraphWriter, name: string, shape: string, index: number): string {
  return graph.node(
    name,
    'StridedSlice',
    [
      shape,
      graph.ints(`${name}/stack`, [index]),
      graph.ints(`${name}/stack_1`, [index + 1]),
      graph.ints(`${name}/stack_2`, [1]),
    ],
    {
      begin_mask: 0,
      end_mask: 0,
      ellipsis_mask: 0,
      new_axis_mask: 0,
      shrink_axis_mask: 1,
      T: {type: 'DT_INT32'},
      Index: {type: 'DT_INT32'},
    },
  );
}
