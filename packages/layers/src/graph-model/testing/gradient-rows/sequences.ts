import {constant, type GradientRow, int, row, truth, x} from './row.js';

const AXES: [string, number[]][] = [
  ['the last axis', [2]],
  ['the first axis', [0]],
  ['a negative axis', [-2]],
  ['two axes', [0, 2]],
  ['all axes', [0, 1, 2]],
];

const reductions = ['Sum', 'Mean', 'Max', 'Min', 'Prod', 'EuclideanNorm'].flatMap((op) =>
  // tf.norm takes two axes at most.
  AXES.filter(([, axes]) => op !== 'EuclideanNorm' || axes.length < 3).flatMap(([label, axis]) =>
    [true, false].map((keep_dims) =>
      row(op, `${label}${keep_dims ? ', kept' : ''}`, [x([2, 3, 2], [0.3, 1.5]), int(axis)], {keep_dims}),
    ),
  ),
);

const scans = ['Cumsum', 'Cumprod'].flatMap((op) =>
  [2, 0, 1, -1, -2].flatMap((axis) =>
    [
      ['', {exclusive: false, reverse: false}],
      [', exclusive', {exclusive: true, reverse: false}],
      [', reverse', {exclusive: false, reverse: true}],
      [', exclusive and reverse', {exclusive: true, reverse: true}],
    ].map(([label, attrs]) => ({
      ...row(op, `axis ${axis} of 3${label}`, [x([2, 3, 4]), int(axis)], attrs as Record<string, boolean>),
      ...((op === 'Cumprod' || axis < 0) && {breaksHeap: op}),
    })),
  ),
);

const product = (
  op: string,
  label: string,
  a: number[],
  b: number[],
  names: [string, string],
  transposes: [boolean, boolean],
) => row(op, label, [x(a), x(b)], {[names[0]]: transposes[0], [names[1]]: transposes[1]});

const products = [
  ...[false, true].flatMap((first) =>
    [false, true].flatMap((second) => {
      const label = `transposed: ${[first && 'left', second && 'right'].filter(Boolean).join(' and ') || 'none'}`;
      return [
        product(
          'MatMul',
          label,
          first ? [4, 2] : [2, 4],
          second ? [3, 4] : [4, 3],
          ['transpose_a', 'transpose_b'],
          [first, second],
        ),
        product(
          'BatchMatMulV2',
          `${label}, batched`,
          first ? [2, 4, 2] : [2, 2, 4],
          second ? [2, 3, 4] : [2, 4, 3],
          ['adj_x', 'adj_y'],
          [first, second],
        ),
        product(
          'BatchMatMulV2',
          `${label}, one right operand`,
          first ? [2, 4, 2] : [2, 2, 4],
          second ? [3, 4] : [4, 3],
          ['adj_x', 'adj_y'],
          [first, second],
        ),
        product(
          'BatchMatMulV2',
          `${label}, one left operand`,
          first ? [1, 4, 2] : [1, 2, 4],
          second ? [2, 3, 4] : [2, 4, 3],
          ['adj_x', 'adj_y'],
          [first, second],
        ),
      ];
    }),
  ),
  product(
    'BatchMatMulV2',
    'both are broadcast',
    [2, 1, 2, 3],
    [1, 2, 3, 2],
    ['adj_x', 'adj_y'],
    [false, false],
  ),
  product('BatchMatMul', 'rank 4', [2, 1, 2, 3], [2, 1, 3, 2], ['adj_x', 'adj_y'], [false, false]),
  ...[
    ['BiasAdd'],
    ['BiasAdd', 'Relu'],
    ['BiasAdd', 'Relu6'],
    ['BiasAdd', 'Sigmoid'],
    ['BiasAdd', 'LeakyRelu'],
  ].map((fused_ops) =>
    row('_FusedMatMul', fused_ops.join(' and '), [x([2, 4]), x([4, 3]), x([3])], {
      fused_ops,
      num_args: 1,
      transpose_a: false,
      transpose_b: false,
      leakyrelu_alpha: 0.3,
    }),
  ),
  row('_FusedMatMul', 'BiasAdd, transposed', [x([4, 2]), x([3, 4]), x([3])], {
    fused_ops: ['BiasAdd'],
    num_args: 1,
    transpose_a: true,
    transpose_b: true,
  }),
  ...[
    ['abc,cd->abd', [2, 2, 3], [3, 2]],
    ['abcd,aecd->acbe', [2, 2, 2, 3], [2, 3, 2, 3]],
    ['acbe,aecd->abcd', [2, 2, 2, 3], [2, 3, 2, 2]],
    ['abcd,cde->abe', [2, 2, 2, 2], [2, 2, 3]],
    ['ab,ab->a', [2, 3], [2, 3]],
  ].map(([equation, a, b]) =>
    row('Einsum', equation as string, [x(a as number[]), x(b as number[])], {
      equation: equation as string,
      N: 2,
    }),
  ),
];

const slices: [string, number[], number[], number[], Record<string, number>][] = [
  ['plain', [0, 1], [3, 4], [1, 1], {}],
  ['steps of 2', [0, 0], [4, 5], [2, 2], {}],
  ['backwards', [3, 4], [0, 0], [-1, -2], {}],
  ['masks', [1, 1], [2, 2], [1, 1], {begin_mask: 2, end_mask: 1}],
  ['a shrunk axis', [1, 0], [2, 5], [1, 1], {shrink_axis_mask: 1}],
  ['a new axis', [0, 0, 0], [4, 0, 5], [1, 1, 1], {new_axis_mask: 2}],
];

export const SEQUENCES: GradientRow[] = [
  ...reductions,
  ...scans,
  ...products,
  row('Softmax', 'rank 2', [x([2, 4])]),
  row('Softmax', 'rank 4', [x([1, 2, 2, 3])]),
  row('LogSoftmax', 'rank 2', [x([2, 4])]),
  row('LogSoftmax', 'rank 3', [x([2, 2, 3])]),
  row('Transpose', 'rank 2', [x([2, 3]), int([1, 0])]),
  row('Transpose', 'rank 4', [x([2, 3, 2, 2]), int([0, 2, 3, 1])]),
  {...row('MatrixBandPart', 'lower triangle', [x([3, 4]), int(-1), int(-1)]), breaksHeap: 'Select'},
  ...slices.map(([label, begin, end, strides, masks]) =>
    row('StridedSlice', label, [x([4, 5]), int(begin), int(end), int(strides)], masks),
  ),
  row('Slice', 'rank 3, to the end', [x([2, 3, 4]), int([0, 1, 1]), int([2, -1, 2])]),
  row('ConcatV2', 'the last axis', [x([2, 2]), x([2, 3]), int(-1)], {N: 2}),
  row('ConcatV2', 'the first axis, of one beside a constant', [x([2, 3]), constant([1, 3]), int(0)], {N: 2}),
  row('Concat', 'the middle axis', [int(1), x([2, 1, 2]), x([2, 2, 2])], {N: 2}),
  row('Pack', 'axis 0', [x([2, 3]), x([2, 3])], {N: 2, axis: 0}),
  row('Pack', 'axis -1', [x([2, 3]), x([2, 3])], {N: 2, axis: -1}),
  row('Unpack', 'axis 1', [x([2, 3, 2])], {num: 3, axis: 1}),
  row('Unpack', 'axis -1, the second output', [x([2, 3])], {num: 3, axis: -1}, {output: 1}),
  row('Split', 'in two, the second output', [int(1), x([2, 4])], {num_split: 2}, {output: 1}),
  row('Split', 'a negative axis', [int(-1), x([2, 4])], {num_split: 2}),
  row('SplitV', 'of different sizes', [x([2, 5]), int([2, 3]), int(1)], {num_split: 2}, {output: 1}),
  row('Unpack', 'a single output', [x([1, 3])], {num: 1, axis: 0}),
  row('Split', 'a single output', [int(1), x([2, 3])], {num_split: 1}),
  row('Tile', 'rank 2', [x([2, 3]), int([2, 3])]),
  row('Tile', 'rank 4', [x([1, 2, 1, 3]), int([2, 1, 3, 1])]),
  row('Tile', 'rank 5', [x([1, 2, 1, 2, 2]), int([2, 1, 3, 1, 1])]),
  row('BroadcastTo', 'to a higher rank', [x([2, 1]), int([3, 2, 2])]),
  row('BroadcastTo', 'to the same shape', [x([2, 3]), int([2, 3])]),
  row('Reshape', '', [x([2, 6]), int([3, -1])]),
  row('ExpandDims', 'axis -1', [x([2, 3]), int(-1)]),
  row('Squeeze', 'axis 1', [x([2, 1, 3])], {squeeze_dims: [1]}),
  row('Pad', 'rank 4', [x([1, 2, 3, 2]), int([0, 0, 1, 0, 2, 1, 0, 0], [4, 2])]),
  row('PadV2', 'with a constant', [x([2, 3]), int([0, 1, 1, 0], [2, 2]), {...constant([]), values: [0.5]}]),
  row('Reverse', 'one axis', [x([2, 3]), truth([0, 1])]),
  row('ReverseV2', 'a negative axis', [x([2, 3, 2]), int([-2])]),
  row('ReverseV2', 'two axes', [x([2, 3, 2]), int([0, 2])]),
  row('Gather', 'rows', [x([4, 3]), int([2, 0, 2])]),
  row('GatherV2', 'rows', [x([4, 3]), int([3, 0, 3]), int(0)], {batch_dims: 0}),
  row('GatherV2', 'the middle axis', [x([2, 3, 2]), int([2, 2, 0]), int(1)], {batch_dims: 0}),
  row('GatherV2', 'a negative axis', [x([2, 3, 4]), int([3, 1]), int(-1)], {batch_dims: 0}),
  row('GatherV2', 'the middle axis, negative', [x([2, 3, 2]), int([2, 2, 0]), int(-2)], {batch_dims: 0}),
  row('GatherV2', 'indices of rank 2', [x([4, 3]), int([3, 0, 1, 3], [2, 2]), int(0)], {batch_dims: 0}),
  row('GatherV2', 'a scalar index', [x([2, 3, 2]), int(1), int(1)], {batch_dims: 0}),
  row('GatherV2', 'one batch axis', [x([2, 4, 3]), int([3, 0, 1, 1], [2, 2]), int(1)], {batch_dims: 1}),
  row(
    'GatherV2',
    'one batch axis, gathered from the last',
    [x([2, 3, 4]), int([3, 0, 1, 1], [2, 2]), int(2)],
    {batch_dims: 1},
  ),
  {
    ...row('GatherV2', 'two batch axes', [x([2, 2, 4]), int([3, 0, 1, 1, 2, 0, 0, 3], [2, 2, 2]), int(2)], {
      batch_dims: 2,
    }),
    breaksHeap: 'GatherV2',
  },
  row('GatherNd', 'rows', [x([4, 3]), int([1, 3, 1], [3, 1])]),
  row('GatherNd', 'elements', [x([4, 3]), int([1, 2, 0, 0], [2, 2])]),
  row('ScatterNd', 'an index twice', [int([4, 1, 4], [3, 1]), x([3, 2]), int([6, 2])]),
  row('TensorScatterUpdate', 'the tensor and the updates', [x([5, 2]), int([3, 0], [2, 1]), x([2, 2])]),
  row('TensorScatterUpdate', 'of elements', [x([3, 2]), int([2, 1, 0, 0], [2, 2]), x([2])]),
  row('SparseToDense', 'the values', [
    int([0, 1, 2, 0], [2, 2]),
    int([3, 2]),
    x([2]),
    {...constant([]), values: [0]},
  ]),
  row('TopKV2', 'the values', [x([2, 5]), int(3)], {sorted: true}),
  row('Identity', '', [x([2, 3])]),
  row('IdentityN', 'the second output', [constant([2, 3]), x([3])], {}, {output: 1}),
  row('Snapshot', '', [x([2, 3])]),
  row('FakeQuantWithMinMaxVars', '', [x([2, 3])]),
  row('SparseSegmentMean', 'the data', [x([4, 2]), int([0, 2, 3]), int([0, 0, 1])]),
  row('SparseSegmentSum', 'the data', [x([4, 2]), int([0, 2, 3]), int([0, 0, 1])]),
  row('DenseBincount', 'the weights', [int([0, 2, 1, 2]), int(3), x([4])], {binary_output: false}),
  row('Bincount', 'the weights', [int([0, 2, 1, 2]), int(3), x([4])]),
];
