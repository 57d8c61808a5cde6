import {constant, type GradientRow, int, row, x} from './row.js';

const WINDOWS: [
  label: string,
  attrs: {ksize: number[]; strides: number[]; padding: string},
  size: number[],
][] = [
  ['3 x 3, stride 1, SAME', {ksize: [1, 3, 3, 1], strides: [1, 1, 1, 1], padding: 'SAME'}, [1, 4, 3, 2]],
  ['3 x 3, stride 2, SAME', {ksize: [1, 3, 3, 1], strides: [1, 2, 2, 1], padding: 'SAME'}, [1, 4, 5, 2]],
  ['2 x 3, stride 2 x 1, SAME', {ksize: [1, 2, 3, 1], strides: [1, 2, 1, 1], padding: 'SAME'}, [1, 5, 4, 2]],
  ['2 x 2, stride 2, VALID', {ksize: [1, 2, 2, 1], strides: [1, 2, 2, 1], padding: 'VALID'}, [2, 4, 5, 2]],
  ['3 x 3, stride 1, VALID', {ksize: [1, 3, 3, 1], strides: [1, 1, 1, 1], padding: 'VALID'}, [1, 5, 4, 2]],
  ['3 x 2, stride 2, VALID', {ksize: [1, 3, 2, 1], strides: [1, 2, 2, 1], padding: 'VALID'}, [1, 6, 5, 2]],
  [
    '4 x 4, stride 4, SAME, larger than the image',
    {ksize: [1, 4, 4, 1], strides: [1, 4, 4, 1], padding: 'SAME'},
    [1, 3, 3, 2],
  ],
  [
    'over the whole image, VALID',
    {ksize: [1, 4, 3, 1], strides: [1, 1, 1, 1], padding: 'VALID'},
    [2, 4, 3, 2],
  ],
];

const VOLUMES: typeof WINDOWS = [
  [
    '2 x 2 x 2, stride 2, VALID',
    {ksize: [1, 2, 2, 2, 1], strides: [1, 2, 2, 2, 1], padding: 'VALID'},
    [1, 4, 4, 2, 1],
  ],
  [
    '3 x 3 x 3, stride 1, SAME',
    {ksize: [1, 3, 3, 3, 1], strides: [1, 1, 1, 1, 1], padding: 'SAME'},
    [1, 3, 3, 3, 2],
  ],
  [
    '3 x 2 x 2, stride 2, SAME',
    {ksize: [1, 3, 2, 2, 1], strides: [1, 2, 2, 2, 1], padding: 'SAME'},
    [1, 4, 3, 3, 2],
  ],
];

const MODES: [string, Record<string, boolean>][] = [
  ['plain', {align_corners: false, half_pixel_centers: false}],
  ['half pixel', {align_corners: false, half_pixel_centers: true}],
  ['align corners', {align_corners: true, half_pixel_centers: false}],
];

const SIZES: [string, number[], number[]][] = [
  ['twice as large', [1, 3, 4, 2], [6, 8]],
  ['by half', [1, 4, 6, 2], [2, 3]],
  ['4 x 4 to 6 x 7', [1, 4, 4, 2], [6, 7]],
  ['5 x 7 to 3 x 2', [1, 5, 7, 1], [3, 2]],
  ['to the same size', [2, 3, 3, 1], [3, 3]],
  ['1 x 1 to 3 x 3', [1, 1, 1, 2], [3, 3]],
  ['to 1 x 1', [1, 3, 3, 2], [1, 1]],
];

const boxes = [0, 0, 1, 1, 0.1, 0.2, 0.8, 0.65, -0.2, 0.3, 0.7, 1.3, 0.9, 0.8, 0.2, 0.1];

const crop = (method: string, label: string, size: number[], count = 4): GradientRow =>
  row(
    'CropAndResize',
    `${method}, ${label}`,
    [
      x([2, 4, 5, 2]),
      {...constant([count, 4]), values: boxes.slice(0, 4 * count)},
      int([0, 1, 1, 0].slice(0, count)),
      int(size),
    ],
    {method, extrapolation_value: 0.5},
  );

export const IMAGES: GradientRow[] = [
  ...['AvgPool', 'MaxPool'].flatMap((op) =>
    WINDOWS.map(([label, attrs, size]) => row(op, label, [x(size)], attrs)),
  ),
  ...WINDOWS.slice(0, 4).map(([label, attrs, size]) => row('MaxPoolWithArgmax', label, [x(size)], attrs)),
  ...['AvgPool3D', 'MaxPool3D'].flatMap((op) =>
    VOLUMES.map(([label, attrs, size]) => row(op, label, [x(size)], {...attrs, data_format: 'NDHWC'})),
  ),
  ...['ResizeBilinear', 'ResizeNearestNeighbor'].flatMap((op) =>
    MODES.flatMap(([mode, attrs]) =>
      SIZES.map(([label, from, to]) => ({
        ...row(op, `${mode}, ${label}`, [x(from), int(to)], attrs),
        endless: op === 'ResizeNearestNeighbor' && mode === 'align corners' && label.startsWith('1 x 1'),
      })),
    ),
  ),
  crop('bilinear', '3 x 4 of four boxes', [3, 4]),
  crop('bilinear', 'of one pixel', [1, 1], 2),
  crop('nearest', '3 x 4 of four boxes', [3, 4]),
  row(
    'CropAndResize',
    'boxes that are computed',
    [constant([1, 4, 5, 1]), x([1, 4], [0.1, 0.9]), int([0]), int([2, 2])],
    {method: 'bilinear', extrapolation_value: 0},
  ),
  row(
    'ImageProjectiveTransformV3',
    'bilinear, constant fill',
    [
      x([1, 4, 4, 1]),
      {...constant([1, 8]), values: [0.9, 0.1, 0.2, -0.1, 0.8, 0.3, 0, 0]},
      int([3, 3]),
      {...constant([]), values: [0]},
    ],
    {interpolation: 'BILINEAR', fill_mode: 'CONSTANT'},
  ),
  row('DepthToSpace', 'blocks of 2', [x([1, 2, 3, 8])], {block_size: 2, data_format: 'NHWC'}),
  row('DepthToSpace', 'blocks of 3, two images', [x([2, 1, 2, 9])], {block_size: 3, data_format: 'NHWC'}),
  row('SpaceToBatchND', 'blocks of 2 x 3, with padding', [
    x([1, 3, 4, 2]),
    int([2, 3]),
    int([1, 0, 1, 1], [2, 2]),
  ]),
  row('BatchToSpaceND', 'blocks of 2 x 2, with crops', [
    x([4, 2, 3, 2]),
    int([2, 2]),
    int([0, 1, 1, 0], [2, 2]),
  ]),
  ...['REFLECT', 'SYMMETRIC'].flatMap((mode) => [
    row(
      'MirrorPad',
      `${mode}, height and width by 1`,
      [x([1, 3, 4, 2]), int([0, 0, 1, 1, 1, 1, 0, 0], [4, 2])],
      {mode},
    ),
    row('MirrorPad', `${mode}, more on one side`, [x([1, 4, 4, 1]), int([0, 0, 3, 0, 1, 2, 0, 0], [4, 2])], {
      mode,
    }),
    row('MirrorPad', `${mode}, a vector`, [x([5]), int([2, 3], [1, 2])], {mode}),
    row('MirrorPad', `${mode}, a sequence`, [x([2, 4, 3]), int([0, 0, 2, 1, 0, 0], [3, 2])], {mode}),
  ]),
  row('LRN', 'radius 2', [x([1, 2, 2, 5])], {depth_radius: 2, bias: 1.5, alpha: 0.3, beta: 0.6}),
  row('LRN', 'of the defaults', [x([1, 2, 2, 5])], {depth_radius: 5, bias: 1, alpha: 1, beta: 0.5}),
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].map((op) =>
    row(
      op,
      'the input',
      [x([2, 2, 2, 3]), constant([3]), constant([3]), constant([3]), constant([3], [0.5, 2])],
      {epsilon: 0.001},
    ),
  ),
  row('FusedBatchNormV3', 'all of its inputs', [x([2, 2, 2, 3]), x([3]), x([3]), x([3]), x([3], [0.5, 2])], {
    epsilon: 0.001,
  }),
];
