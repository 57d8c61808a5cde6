import type {EncoderWeights, Norm, Values} from './encoder-weights.js';
import type {GraphWriter} from './graph-writer.js';

/** Which form of GELU: by the error function, or by tanh. */
export type Gelu = 'erf' | 'tanh';

/** A converted LayerNormalization: Mean, SquaredDifference, Rsqrt, products and sums, its epsilon BERT's. */
export function layerNorm(graph: GraphWriter, name: string, x: string, {gamma, beta}: Norm): string {
  const at = (part: string) => `${name}/${part}`;
  const mean = (part: string, of: string) =>
    graph.node(at(part), 'Mean', [of, graph.ints(at(`${part}/reduction_indices`), [2])], {keep_dims: true});
  const center = mean('moments/mean', x);
  const squares = graph.node(at('moments/SquaredDifference'), 'SquaredDifference', [x, center]);
  const variance = mean('moments/variance', squares);
  const epsilon = graph.scalar(at('batchnorm/add/y'), 1e-12);
  const shifted = graph.node(at('batchnorm/add'), 'AddV2', [variance, epsilon]);
  const rsqrt = graph.node(at('batchnorm/Rsqrt'), 'Rsqrt', [shifted]);
  const g = graph.float(at('batchnorm/mul/ReadVariableOp'), gamma.shape, gamma.values);
  const b = graph.float(at('batchnorm/ReadVariableOp'), beta.shape, beta.values);
  const factor = graph.node(at('batchnorm/mul'), 'Mul', [rsqrt, g]);
  const scaled = graph.node(at('batchnorm/mul_1'), 'Mul', [x, factor]);
  const moved = graph.node(at('batchnorm/mul_2'), 'Mul', [center, factor]);
  const offset = graph.node(at('batchnorm/sub'), 'Sub', [b, moved]);
  return graph.node(at('batchnorm/add_1'), 'AddV2', [scaled, offset]);
}

export function gelu(graph: GraphWriter, name: string, x: string, form: Gelu): string {
  const at = (part: string) => `${name}/${part}`;
  const half = graph.scalar(at('mul/x'), 0.5);
  const one = graph.scalar(at('add/x'), 1);
  if (form === 'erf') {
    const ratio = graph.node(at('truediv'), 'RealDiv', [x, graph.scalar(at('Cast/x'), Math.SQRT2)]);
    const sum = graph.node(at('add'), 'AddV2', [graph.node(at('Erf'), 'Erf', [ratio]), one]);
    return graph.node(at('mul_1'), 'Mul', [x, graph.node(at('mul'), 'Mul', [half, sum])]);
  }
  const cube = graph.node(at('Pow'), 'Pow', [x, graph.scalar(at('Pow/y'), 3)]);
  const small = graph.node(at('mul_1'), 'Mul', [graph.scalar(at('mul_1/x'), 0.044715), cube]);
  const sum = graph.node(at('add_1'), 'AddV2', [x, small]);
  const inner = graph.node(at('mul_2'), 'Mul', [graph.scalar(at('Sqrt'), Math.sqrt(2 / Math.PI)), sum]);
  const shifted = graph.node(at('add'), 'AddV2', [graph.node(at('Tanh'), 'Tanh', [inner]), one]);
  return graph.node(at('mul_3'), 'Mul', [graph.node(at('mul'), 'Mul', [x, half]), shifted]);
}

/** Word, position and token type embeddings, and their norm. */
export function embeddings(
  graph: GraphWriter,
  name: string,
  ids: string,
  types: string,
  weights: EncoderWeights,
): string {
  const at = (part: string) => `${name}/${part}`;
  const lookup = (part: string, {shape, values}: Values, indices: string) =>
    graph.node(
      at(part),
      'GatherV2',
      [graph.float(at(`${part}/resource`), shape, values), indices, graph.ints(at(`${part}/axis`), 0)],
      {batch_dims: 0, Tparams: {type: 'DT_FLOAT'}, Tindices: {type: 'DT_INT32'}},
    );
  const words = lookup('Gather', weights.words, ids);
  const shape = graph.node(at('Shape'), 'Shape', [ids], {out_type: {type: 'DT_INT32'}});
  const steps = stridedSlice(graph, at('strided_slice'), shape, [1], [2], {shrink_axis_mask: 1});
  const range = graph.node(
    at('range'),
    'Range',
    [graph.ints(at('range/start'), 0), steps, graph.ints(at('range/delta'), 1)],
    {Tidx: {type: 'DT_INT32'}},
  );
  const order = graph.node(at('ExpandDims'), 'ExpandDims', [range, graph.ints(at('ExpandDims/dim'), 0)], {
    T: {type: 'DT_INT32'},
  });
  const places = lookup('Gather_1', weights.positions, order);
  const kinds = lookup('Gather_2', weights.types, types);
  const sum = graph.node(at('add'), 'AddV2', [words, places]);
  return layerNorm(graph, at('LayerNorm'), graph.node(at('add_1'), 'AddV2', [sum, kinds]), weights.norm);
}

/** `(1 - mask[:, None, None, :]) * low`, to be added to scores. */
export function attentionMask(graph: GraphWriter, name: string, mask: string, low: number): string {
  const at = (part: string) => `${name}/${part}`;
  const wide = stridedSlice(graph, at('strided_slice_1'), mask, [0, 0, 0, 0], [0, 0, 0, 0], {
    begin_mask: 9,
    end_mask: 9,
    new_axis_mask: 6,
  });
  const cast = graph.node(at('Cast'), 'Cast', [wide], {SrcT: {type: 'DT_INT32'}, DstT: {type: 'DT_FLOAT'}});
  const holes = graph.node(at('Sub'), 'Sub', [graph.scalar(at('Const'), 1), cast]);
  return graph.node(at('Mul'), 'Mul', [holes, graph.scalar(at('Const_1'), low)]);
}

/** The mean of the tokens that the mask keeps. */
export function meanPooling(graph: GraphWriter, name: string, x: string, mask: string): string {
  const at = (part: string) => `${name}/${part}`;
  const wide = graph.node(at('ExpandDims'), 'ExpandDims', [mask, graph.ints(at('ExpandDims/dim'), -1)], {
    T: {type: 'DT_INT32'},
  });
  const kept = graph.node(at('Cast'), 'Cast', [wide], {SrcT: {type: 'DT_INT32'}, DstT: {type: 'DT_FLOAT'}});
  const sum = (part: string, of: string) =>
    graph.node(at(part), 'Sum', [of, graph.ints(at(`${part}/reduction_indices`), [1])], {keep_dims: false});
  const total = sum('Sum', graph.node(at('mul'), 'Mul', [x, kept]));
  const count = graph.node(at('Maximum'), 'Maximum', [
    sum('Sum_1', kept),
    graph.scalar(at('Maximum/y'), 1e-9),
  ]);
  return graph.node(at('truediv'), 'RealDiv', [total, count]);
}

/** BERT's own pooler: a tanh projection of the first token. */
export function clsPooling(graph: GraphWriter, name: string, x: string, {pooler}: EncoderWeights): string {
  const first = stridedSlice(graph, `${name}/strided_slice`, x, [0, 0], [0, 1], {
    begin_mask: 1,
    end_mask: 1,
    shrink_axis_mask: 2,
  });
  const {kernel, bias} = pooler;
  const product = graph.node(
    `${name}/dense/BiasAdd`,
    '_FusedMatMul',
    [
      first,
      graph.float(`${name}/dense/MatMul/ReadVariableOp`, kernel.shape, kernel.values),
      graph.float(`${name}/dense/BiasAdd/ReadVariableOp`, bias.shape, bias.values),
    ],
    {transpose_a: false, transpose_b: false, fused_ops: ['BiasAdd'], num_args: 1, epsilon: {f: 0}},
  );
  return graph.node(`${name}/dense/Tanh`, 'Tanh', [product]);
}

function stridedSlice(
  graph: GraphWriter,
  name: string,
  x: string,
  begin: number[],
  end: number[],
  masks: Record<string, number>,
): string {
  return graph.node(
    name,
    'StridedSlice',
    [
      x,
      graph.ints(`${name}/stack`, begin),
      graph.ints(`${name}/stack_1`, end),
      graph.ints(
        `${name}/stack_2`,
        begin.map(() => 1),
      ),
    ],
    {
      begin_mask: 0,
      end_mask: 0,
      ellipsis_mask: 0,
      new_axis_mask: 0,
      shrink_axis_mask: 0,
      Index: {type: 'DT_INT32'},
      ...masks,
    },
  );
}
