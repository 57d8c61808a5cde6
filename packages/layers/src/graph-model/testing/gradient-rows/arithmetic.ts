import {constant, type GradientRow, int, row, step, truth, x} from './row.js';

const BINARY = [
  'Add',
  'AddV2',
  'Sub',
  'Mul',
  'Div',
  'RealDiv',
  'DivNoNan',
  'Maximum',
  'Minimum',
  'Pow',
  'SquaredDifference',
  'Mod',
  'FloorMod',
  'Atan2',
];

/** Away from 0, so that a division is smooth and a power exists. */
const POSITIVE: [number, number] = [0.5, 2];

/** With one quotient all over, so that no small change reaches a jump. */
const MODULO: [[number, number], [number, number]] = [
  [1.5, 2.3],
  [1.2, 1.4],
];

function binary(op: string): GradientRow[] {
  const numbers = ['Maximum', 'Minimum', 'SquaredDifference', 'Add', 'AddV2', 'Sub', 'Mul'].includes(op)
    ? undefined
    : POSITIVE;
  const ranges = op.endsWith('Mod') ? MODULO : [numbers, numbers];
  const pair = (left: number[], right: number[], frozen?: 'left' | 'right') => [
    (frozen === 'left' ? constant : x)(left, ranges[0]),
    (frozen === 'right' ? constant : x)(right, ranges[1]),
  ];
  return [
    row(op, 'same shapes', pair([2, 3], [2, 3])),
    row(op, 'a scalar constant on the right', pair([2, 3], [], 'right')),
    row(op, 'a vector constant on the right', pair([2, 3], [3], 'right')),
    row(op, 'a constant of higher rank on the right', pair([3], [2, 3], 'right')),
    row(op, 'a constant of higher rank on the left', pair([2, 3], [3], 'left')),
    row(op, 'the smaller operand is a column, on the right', pair([2, 3], [2, 1])),
    row(op, 'the smaller operand is a row, on the left', pair([1, 3], [2, 3])),
    row(op, 'both are broadcast', pair([2, 1], [1, 3])),
  ];
}

/** Elementwise ops of one operand, and where it may be. */
const UNARY: Record<string, [number, number] | undefined> = {
  Abs: undefined,
  Acos: [-0.8, 0.8],
  Acosh: [1.5, 3],
  Asin: [-0.8, 0.8],
  Asinh: undefined,
  Atan: undefined,
  Atanh: [-0.8, 0.8],
  Cos: undefined,
  Cosh: undefined,
  Elu: undefined,
  Erf: undefined,
  Exp: undefined,
  Expm1: undefined,
  Log: POSITIVE,
  Log1p: [-0.5, 1],
  Neg: undefined,
  Reciprocal: POSITIVE,
  Relu: undefined,
  Relu6: [-3, 9],
  Rsqrt: POSITIVE,
  Selu: undefined,
  Sigmoid: undefined,
  Sin: undefined,
  Sinh: undefined,
  Softplus: undefined,
  Sqrt: POSITIVE,
  Square: undefined,
  Tan: undefined,
  Tanh: undefined,
};

export const ARITHMETIC: GradientRow[] = [
  ...BINARY.flatMap(binary),
  row('BiasAdd', 'the input and the bias', [x([2, 3]), x([3])]),
  row('AddN', 'three of one shape', [x([2, 3]), x([2, 3]), x([2, 3])]),
  ...Object.entries(UNARY).map(([op, range]) => row(op, '', [x([2, 4], range)])),
  row('LeakyRelu', 'alpha 0.3', [x([2, 4])], {alpha: 0.3}),
  row('Prelu', 'one alpha for each channel', [x([2, 2, 3]), x([3])]),
  row('Prelu', 'alpha of the whole shape', [x([2, 3]), x([2, 3])]),
  {...row('Prelu', 'alpha is the larger operand', [x([3]), x([2, 3])]), breaksHeap: 'Prelu'},
  row('Prelu', 'alpha for each channel over the rows', [x([2, 2, 3]), x([1, 1, 3])]),
  row('ClipByValue', 'within the operand', [x([2, 4]), constant([], [-0.5, -0.5]), constant([], [0.5, 0.5])]),
  row('ComplexAbs', 'of real numbers', [x([2, 4])]),
  row('Pow', 'a base of either sign to a whole power', [x([2, 3]), {...constant([]), values: [2]}]),
  row('Select', 'both branches', [truth([1, 0, 0, 1, 1, 0], [2, 3]), x([2, 3]), x([2, 3])]),
  row('SelectV2', 'a broadcast condition', [truth([1, 0, 0]), x([2, 3]), x([2, 3])]),
  row('SelectV2', 'a branch is broadcast', [truth([1, 0, 0, 1, 1, 0], [2, 3]), x([2, 3]), x([3])]),
  row('SelectV2', 'both branches are broadcast', [truth([1, 0], [2, 1]), x([1, 3]), x([3])]),
  step('Ceil', '', [x([2, 3], [-1.4, 1.4])]),
  step('Floor', '', [x([2, 3], [-1.4, 1.4])]),
  step('Round', '', [x([2, 3], [-1.4, 1.4])]),
  step('Sign', '', [x([2, 3])]),
  step('FloorDiv', 'same shapes', [x([2, 3], [0.5, 2.2]), x([2, 3], [0.7, 0.9])]),
  step('FloorDiv', 'a scalar constant on the right', [
    x([2, 3], [0.5, 2.2]),
    {...constant([]), values: [0.83]},
  ]),
  ...['IsNan', 'IsFinite', 'IsInf', 'OnesLike', 'ZerosLike', 'Shape', 'Size', 'Rank'].map((op) =>
    step(op, '', [x([2, 3])]),
  ),
  ...['Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual'].map((op) =>
    step(op, 'with a constant', [x([2, 3]), {...constant([]), values: [0.01]}]),
  ),
  step('ArgMax', 'along the last axis', [x([2, 3]), int(-1)]),
  step('ArgMin', 'along the first axis', [x([2, 3]), int(0)]),
  step('Cast', 'to int32', [x([2, 3], [-3, 3])], {DstT: {type: 'DT_INT32'}}),
  step('Cast', 'to bool', [x([2, 3])], {DstT: {type: 'DT_BOOL'}}),
  row('Cast', 'to float32', [x([2, 3])], {DstT: {type: 'DT_FLOAT'}}),
  step('LowerBound', 'of values', [constant([2, 4]), x([2, 3])]),
  step('UpperBound', 'of values', [constant([2, 4]), x([2, 3])]),
  step('Fill', 'with a value', [int([2, 3]), x([])]),
  step(
    'Range',
    'to a limit',
    [{...constant([]), values: [0]}, x([], [3, 3.9]), {...constant([]), values: [1]}],
    {Tidx: {type: 'DT_FLOAT'}},
  ),
  step('OneHot', 'whose values are computed', [int([0, 2]), int(3), x([]), {...constant([]), values: [0]}]),
  step('ClipByValue', 'to limits that are computed', [
    constant([2, 4]),
    x([], [-0.5, -0.5]),
    constant([], [0.5, 0.5]),
  ]),
];
