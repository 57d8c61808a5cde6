import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {PeftError} from '../index.js';
import '../cpu.js';
import {register, unregister} from '../wasm.js';
import '../wasm-training.js';

/** Small whole numbers, of either sign, or what is true of them. */
function numbers(shape: number[], dtype: tf.DataType, step = 7): tf.Tensor {
  const values = Array.from({length: tf.util.sizeFromShape(shape)}, (_, i) => ((i * step + 3) % 11) - 5);
  return tf.tensor(dtype === 'bool' ? values.map((value) => Number(value > 0)) : values, shape, dtype);
}

const DTYPES = ['float32', 'int32', 'bool'] as const;
const ids = (...values: number[]): tf.Tensor2D => tf.tensor2d(values, [values.length, 1], 'int32');
const kernel = (name: string, inputs: object, attrs: object = {}): tf.Tensor =>
  tf.engine().runKernel(name, inputs as tf.NamedTensorMap, attrs as tf.NamedAttrMap) as tf.Tensor;

type Op = (dtype: tf.DataType) => tf.Tensor | tf.Tensor[];

/** What stock wasm gets wrong, most of it by leaving the tensors; cpu says what is right. */
const OPS: Record<string, Op> = {
  'where of a whole condition': (d) =>
    tf.where(numbers([101, 53], 'bool'), numbers([101, 53], d), numbers([101, 53], d, 5)),
  'where of floats too': (d) =>
    tf.where(numbers([2, 3], 'bool'), numbers([2, 3], d), numbers([2, 3], 'float32', 5)),
  'bandPart, a causal mask': (d) => tf.linalg.bandPart(numbers([40, 50], d), -1, 0),
  'pad by less than nothing': (d) =>
    tf.pad(numbers([4, 3], d), [
      [-1, 0],
      [0, 0],
    ]),
  reverse: (d) => tf.reverse(numbers([2, 3, 4], d), [-1, 0]),
  'oneHot, indices out of range': (d) =>
    kernel(
      'OneHot',
      {indices: tf.tensor1d([0, 2, -1, 9], 'int32')},
      {depth: 3, onValue: 1, offValue: 0, dtype: d},
    ),
  stridedSlice: (d) => tf.stridedSlice(numbers([4, 3], d), [3, 0], [-5, 3], [-1, 2]),
  topk: (d) => Object.values(tf.topk(numbers([3, 5], d), 2)),
  'gather from nothing': (d) => tf.gather(numbers([0, 4], d), tf.tensor1d([], 'int32')),
  'Max of nothing': (d) => kernel('Max', {x: numbers([2, 0], d)}, {reductionIndices: [1], keepDims: false}),
  'sum of nothing': (d) => tf.sum(numbers([2, 0], d), 1),
  'prod of nothing': (d) => tf.prod(numbers([0, 3], d), 0),
  abs: (d) => tf.abs(numbers([2, 3], d)),
  neg: (d) => tf.neg(numbers([2, 3], d)),
  relu: (d) => tf.relu(numbers([2, 3], d)),
  exp: (d) => tf.exp(numbers([2, 3], d)),
  isFinite: (d) => tf.isFinite(numbers([2, 3], d)),
  'modulo by 0': (d) => (d === 'float32' ? tf.scalar(0) : tf.mod(numbers([8], d), numbers([8], d, 4))),
  'floorDiv by 0': (d) => (d === 'float32' ? tf.scalar(0) : tf.floorDiv(numbers([8], d), numbers([8], d, 4))),
  divNoNan: (d) => (d === 'bool' ? tf.divNoNan(numbers([6], d), numbers([6], 'float32', 4)) : tf.scalar(0)),
  prelu: (d) => tf.prelu(numbers([2, 3], d), numbers([3], d)),
  batchNorm: (d) =>
    tf.batchNorm(
      numbers([2, 3], d) as tf.Tensor2D,
      numbers([3], d) as tf.Tensor1D,
      tf.ones([3], d),
      tf.zeros([3], d),
    ),
};

const read = (result: tf.Tensor | tf.Tensor[]) =>
  [result]
    .flat()
    .map((t) => ({dtype: t.dtype, shape: t.shape, values: Array.from(t.dataSync() as ArrayLike<number>)}));

async function on(backend: string, op: Op, dtype: tf.DataType) {
  await tf.setBackend(backend);
  return tf.tidy(() => read(op(dtype)));
}

/** Runs something on wasm among other tensors, which have to be as they were. */
async function amongOthers(work: () => void): Promise<void> {
  await tf.setBackend('wasm');
  const others = Array.from({length: 60}, (_, i) => tf.fill([(i % 7) + 1], i));
  const before = tf.memory().numDataBuffers;
  work();
  expect(tf.memory().numDataBuffers).toBe(before);
  others.forEach((other, i) => {
    expect(new Set(other.dataSync())).toEqual(new Set([i]));
  });
  tf.dispose(others);
  expect(tf.tidy(() => tf.add(tf.ones([1000]), 1).dataSync()[999])).toBe(2);
}

describe.each(Object.entries(OPS))('%s', (_name, op) => {
  it.each(DTYPES)('of %s is on wasm as on cpu, and stays within its tensors', async (dtype) => {
    const want = await on('cpu', op, dtype);
    await amongOthers(() => {
      const got = tf.tidy(() => read(op(dtype)));
      expect(got.map(({dtype, shape}) => [dtype, shape])).toEqual(
        want.map(({dtype, shape}) => [dtype, shape]),
      );
      got.forEach(({values}, i) => {
        values.forEach((value, at) => {
          if (Number.isNaN(value)) expect(want[i]!.values[at]).toBeNaN();
          else expect(value).toBeCloseTo(want[i]!.values[at]!, 4);
        });
      });
    });
  });
});

describe.each(['cpu', 'wasm'])('cumulative ops on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  it.each([
    [-1, 2],
    [-2, 1],
    [-3, 0],
  ])('axis %d is axis %d of three', (axis, same) => {
    for (const dtype of DTYPES) {
      for (const op of [tf.cumsum, tf.cumprod]) {
        for (const flag of [false, true]) {
          const x = numbers([2, 3, 4], dtype);
          const [got, want] = [op(x, axis, flag, flag), op(x, same, flag, flag)];
          expect(read(got)).toEqual(read(want));
        }
      }
    }
  });

  it('adds up from behind', () => {
    expect(tf.cumsum(tf.tensor2d([1, 2, 3, 4], [2, 2]), -1).arraySync()).toEqual([
      [1, 3],
      [3, 7],
    ]);
  });
});

const x = () => numbers([3, 4], 'float32');
const REFUSED: Record<string, () => unknown> = {
  'gatherND before the start': () => tf.gatherND(x(), ids(-1)),
  'gatherND behind the end': () => tf.gatherND(x(), ids(0, 5)),
  'gatherND far away': () => tf.gatherND(x(), ids(2 ** 30)),
  'scatterND behind the end': () => tf.scatterND(ids(0, 5), numbers([2, 4], 'float32'), [3, 4]),
  'sparseToDense before the start': () => tf.sparseToDense([-1], tf.tensor1d([1]), [3], 0),
  'tensorScatterUpdate behind the end': () => tf.tensorScatterUpdate(x(), ids(3), numbers([1, 4], 'float32')),
  'slice beyond the end': () => kernel('Slice', {x: x()}, {begin: [1, 0], size: [9, 2]}),
  'pad that takes more than there is': () =>
    kernel(
      'PadV2',
      {x: x()},
      {
        paddings: [
          [-2, -2],
          [0, 0],
        ],
        constantValue: 0,
      },
    ),
  'cropAndResize of an image that is not there': () =>
    tf.image.cropAndResize(
      tf.ones([2, 4, 4, 1]),
      tf.tensor2d([[0, 0, 1, 1]]),
      tf.tensor1d([7], 'int32'),
      [2, 2],
    ),
  'conv2dTranspose to another size': () =>
    tf.conv2dTranspose(
      tf.ones([1, 5, 5, 4]) as tf.Tensor4D,
      tf.ones([3, 3, 2, 4]),
      [1, 100, 100, 2],
      2,
      'same',
    ),
  'Tile by less than nothing': () => kernel('Tile', {x: x()}, {reps: [-1, 2]}),
  'UnsortedSegmentSum of other rows': () =>
    kernel('UnsortedSegmentSum', {x: x(), segmentIds: tf.zeros([9], 'int32')}, {numSegments: 2}),
  'UnsortedSegmentSum by floats': () =>
    kernel('UnsortedSegmentSum', {x: x(), segmentIds: tf.zeros([3])}, {numSegments: 2}),
  'MaxPoolGrad of another dy': () =>
    kernel(
      'MaxPoolGrad',
      {dy: tf.ones([1, 9, 9, 1]), input: tf.ones([1, 4, 4, 1]), output: tf.ones([1, 2, 2, 1])},
      {filterSize: 2, strides: 2, pad: 'valid'},
    ),
  'Conv2DBackpropFilter of another dy': () =>
    kernel(
      'Conv2DBackpropFilter',
      {x: tf.ones([1, 4, 4, 1]), dy: tf.ones([1, 9, 9, 2])},
      {strides: 1, pad: 'same', dataFormat: 'NHWC', filterShape: [3, 3, 1, 2]},
    ),
  'Conv2DBackpropFilter of integers': () =>
    kernel(
      'Conv2DBackpropFilter',
      {x: tf.ones([1, 4, 4, 1], 'int32'), dy: tf.ones([1, 4, 4, 2])},
      {strides: 1, pad: 'same', dataFormat: 'NHWC', filterShape: [3, 3, 1, 2]},
    ),
  'DepthwiseConv2dNativeBackpropFilter of other channels': () =>
    kernel(
      'DepthwiseConv2dNativeBackpropFilter',
      {x: tf.ones([1, 4, 4, 3]), dy: tf.ones([1, 4, 4, 2])},
      {strides: 1, pad: 'same', dilations: 1, filterShape: [3, 3, 2, 1]},
    ),
  'DepthwiseConv2dNativeBackpropInput of another dy': () =>
    kernel(
      'DepthwiseConv2dNativeBackpropInput',
      {dy: tf.ones([1, 9, 9, 2]), filter: tf.ones([3, 3, 2, 1])},
      {strides: 1, pad: 'same', dilations: 1, inputShape: [1, 4, 4, 2]},
    ),
};

test.each(Object.entries(REFUSED))('%s is refused before the heap is touched', async (_name, call) => {
  await amongOthers(() => {
    tf.tidy(() => {
      expect(call).toThrow(PeftError);
    });
  });
});

test.each(DTYPES)(
  'a negative amount of padding of %s takes away, beside another that adds',
  async (dtype) => {
    await tf.setBackend('wasm');
    const got = tf.pad(numbers([4, 3], dtype), [
      [-1, 2],
      [0, -2],
    ]);
    const rest = tf.slice(numbers([4, 3], dtype), [1, 0], [3, 1]);
    expect(read(got)).toEqual(read(tf.concat([rest, tf.zeros([2, 1], dtype)])));
  },
);

test('sums of segments of integers are integers, exact', async () => {
  await tf.setBackend('wasm');
  const big = 2 ** 24 + 1;
  const sums = tf.unsortedSegmentSum(tf.tensor1d([big, 2, 3], 'int32'), tf.tensor1d([0, 1, 1], 'int32'), 2);
  expect(read(sums)).toEqual([{dtype: 'int32', shape: [2], values: [big, 5]}]);
  const trues = tf.unsortedSegmentSum(tf.tensor1d([1, 1, 0], 'bool'), tf.tensor1d([0, 0, 1], 'int32'), 2);
  expect(read(trues)).toEqual([{dtype: 'int32', shape: [2], values: [2, 0]}]);
});

test('unregistered, the stock kernels are back', () => {
  const ours = tf.getKernel('Select', 'wasm').kernelFunc;
  unregister();
  expect(tf.getKernel('Select', 'wasm').kernelFunc).not.toBe(ours);
  register();
});
