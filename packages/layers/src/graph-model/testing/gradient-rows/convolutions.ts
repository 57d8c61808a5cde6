import type {Attribute} from '../builder.js';
import {constant, type GradientRow, int, row, x} from './row.js';

type Attrs = Record<string, Attribute>;

interface Window {
  label: string;
  attrs: Attrs;
  size?: [number, number];
}

const plain = (strides: number[], padding: string, dilations: number[]): Attrs => ({
  strides: [1, ...strides, 1],
  dilations: [1, ...dilations, 1],
  padding,
  data_format: 'NHWC',
});

const WINDOWS: Window[] = [
  {label: 'SAME', attrs: plain([1, 1], 'SAME', [1, 1])},
  {label: 'VALID', attrs: plain([1, 1], 'VALID', [1, 1])},
  {label: 'SAME, stride 2', attrs: plain([2, 2], 'SAME', [1, 1])},
  {label: 'VALID, stride 2, a row left over', attrs: plain([2, 2], 'VALID', [1, 1]), size: [6, 5]},
  {label: 'SAME, stride 3 x 1', attrs: plain([3, 1], 'SAME', [1, 1])},
  {
    label: 'explicit padding',
    attrs: {...plain([1, 1], 'EXPLICIT', [1, 1]), explicit_paddings: [0, 0, 1, 0, 2, 1, 0, 0]},
  },
  {
    label: 'explicit padding, stride 2',
    attrs: {...plain([2, 2], 'EXPLICIT', [1, 1]), explicit_paddings: [0, 0, 1, 1, 1, 1, 0, 0]},
  },
  {label: 'SAME, dilated by 2', attrs: plain([1, 1], 'SAME', [2, 2])},
  {label: 'VALID, dilated by 2', attrs: plain([1, 1], 'VALID', [2, 2]), size: [6, 7]},
  {label: 'SAME, dilated by 1 x 3', attrs: plain([1, 1], 'SAME', [1, 3])},
];

const FUSED: [string, string[]][] = [
  ['bias', ['BiasAdd']],
  ['bias and relu', ['BiasAdd', 'Relu']],
  ['bias and relu6', ['BiasAdd', 'Relu6']],
  ['bias and elu', ['BiasAdd', 'Elu']],
];

const DILATED = WINDOWS.filter(({label}) => label.includes('dilated'));

function filters(op: string, filter: number[]): GradientRow[] {
  const channels = filter[2]!;
  const image = ([height, width]: number[] = [5, 4]) => [1, height!, width!, channels];
  return WINDOWS.flatMap(({label, attrs, size}) => [
    row(op, `the input, ${label}`, [x(image(size)), constant(filter)], attrs),
    row(op, `the filter, ${label}`, [constant(image(size)), x(filter)], attrs),
  ]);
}

function fused(op: string, filter: number[]): GradientRow[] {
  const columns = op.includes('Depthwise') ? filter[2]! * filter[3]! : filter[3]!;
  const make = ({label, attrs, size = [5, 4]}: Window, name: string, fused_ops: string[]) =>
    row(op, `${name}, ${label}`, [x([1, ...size, filter[2]!]), x(filter), x([columns])], {
      ...attrs,
      fused_ops,
      num_args: 1,
    });
  return [
    ...FUSED.map(([name, ops]) => make(WINDOWS[0]!, name, ops)),
    ...FUSED.map(([name, ops]) => make(WINDOWS[2]!, name, ops)),
    ...DILATED.flatMap((window) => FUSED.slice(0, 3).map(([name, ops]) => make(window, name, ops))),
    make(WINDOWS[5]!, 'bias', ['BiasAdd']),
    row(
      op,
      'bias and prelu, SAME',
      [x([1, 5, 4, filter[2]!]), x(filter), x([columns]), constant([columns])],
      {
        ...WINDOWS[0]!.attrs,
        fused_ops: ['BiasAdd', 'Prelu'],
        num_args: 2,
      },
    ),
  ];
}

const transposed = (label: string, attrs: Attrs, from: number[], to: number[]): GradientRow[] => [
  row('Conv2DBackpropInput', `the input, ${label}`, [int(to), constant([3, 3, 2, 3]), x(from)], attrs),
  row('Conv2DBackpropInput', `the filter, ${label}`, [int(to), x([3, 3, 2, 3]), constant(from)], attrs),
];

const volume = (label: string, padding: string, strides: number[], dilations: number[]): GradientRow[] => {
  const attrs = {strides: [1, ...strides, 1], dilations: [1, ...dilations, 1], padding, data_format: 'NDHWC'};
  return [
    row('Conv3D', `the input, ${label}`, [x([1, 4, 3, 3, 2]), constant([2, 2, 2, 2, 2])], attrs),
    row('Conv3D', `the filter, ${label}`, [constant([1, 4, 3, 3, 2]), x([2, 2, 2, 2, 2])], attrs),
  ];
};

export const CONVOLUTIONS: GradientRow[] = [
  ...filters('Conv2D', [3, 3, 2, 2]),
  ...filters('Conv2D', [2, 3, 1, 2])
    .slice(0, 4)
    .map((r) => ({...r, attributes: `2 x 3, ${r.attributes}`})),
  ...filters('DepthwiseConv2dNative', [3, 3, 2, 1]),
  ...filters('DepthwiseConv2dNative', [3, 2, 2, 2]).map((r) => ({
    ...r,
    attributes: `multiplier 2, ${r.attributes}`,
  })),
  ...fused('_FusedConv2D', [3, 3, 2, 2]),
  ...fused('FusedDepthwiseConv2dNative', [3, 3, 2, 1]),
  row('Conv1D', 'the input, SAME', [x([2, 5, 2]), constant([3, 2, 2])], {
    stride: 1,
    padding: 'SAME',
    data_format: 'NWC',
    dilation: 1,
  }),
  row('Conv1D', 'the input, dilated by 2', [x([2, 6, 2]), constant([3, 2, 2])], {
    stride: 1,
    padding: 'SAME',
    data_format: 'NWC',
    dilation: 2,
  }),
  ...transposed('SAME, stride 2', plain([2, 2], 'SAME', [1, 1]), [1, 2, 3, 3], [1, 4, 6, 2]),
  ...transposed('VALID, stride 2', plain([2, 2], 'VALID', [1, 1]), [1, 2, 2, 3], [1, 5, 5, 2]),
  ...transposed('SAME, stride 1', plain([1, 1], 'SAME', [1, 1]), [1, 3, 3, 3], [1, 3, 3, 2]),
  ...volume('VALID', 'VALID', [1, 1, 1], [1, 1, 1]),
  ...volume('SAME, stride 2', 'SAME', [2, 2, 2], [1, 1, 1]),
  ...volume('SAME, dilated by 2', 'SAME', [1, 1, 1], [2, 2, 2]),
  row('Dilation2D', 'the input, SAME', [x([1, 4, 4, 2]), constant([2, 2, 2], [-0.13, 0.11])], {
    strides: [1, 1, 1, 1],
    rates: [1, 1, 1, 1],
    padding: 'SAME',
  }),
  row('Dilation2D', 'the filter, VALID', [constant([1, 4, 4, 2]), x([2, 2, 2], [-0.13, 0.11])], {
    strides: [1, 1, 1, 1],
    rates: [1, 1, 1, 1],
    padding: 'VALID',
  }),
];
