import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {became, type Repair, run, using, withInputsAs} from './infos.js';

/** Stock moves every value as four bytes, and assumes that both branches have the first one's dtype. */
const select: Repair = (call, stock) => {
  const {t, e} = call.inputs;
  const dtype = tf.upcastType(t!.dtype, e!.dtype);
  const four = dtype === 'bool' ? 'int32' : dtype;
  return became(withInputsAs(call, ['t', 'e'], four, stock), dtype, call.backend);
};

/** A negative amount takes away what is there: stock reads before the tensor. */
const pad: Repair = (call, stock) => {
  const {backend, inputs, attrs} = call;
  const paddings = attrs.paddings as [number, number][];
  if (paddings.every(([before, after]) => before >= 0 && after >= 0)) return stock(call);
  const x = inputs.x!;
  const begin = paddings.map(([before]) => Math.max(0, -before));
  const size = x.shape.map((own, axis) => own - begin[axis]! - Math.max(0, -paddings[axis]![1]));
  if (size.some((left) => left < 0)) {
    throw new ConfigError(
      `PadV2 on wasm: paddings [${paddings.join('], [')}] remove more than x [${x.shape}] has.`,
    );
  }
  const cut = run(tf.Slice, {x}, {begin, size}, backend);
  const rest = paddings.map(([before, after]) => [Math.max(0, before), Math.max(0, after)]);
  return using(backend, [cut], () => stock({...call, inputs: {x: cut}, attrs: {...attrs, paddings: rest}}));
};

/** Stock writes integers, of four bytes each, whatever the dtype. */
const oneHot: Repair = (call, stock) => {
  const {
    depth,
    onValue,
    offValue,
    dtype = 'int32',
  } = call.attrs as {
    depth: number;
    onValue: number;
    offValue: number;
    dtype?: tf.DataType;
  };
  if (dtype === 'int32') return stock(call);
  const {backend} = call;
  const indices = call.inputs.indices!;
  const out = backend.makeOutput([...indices.shape, depth], dtype);
  const [from, to] = [backend.typedArrayFromHeap(indices), backend.typedArrayFromHeap(out)];
  to.fill(offValue);
  from.forEach((index, row) => {
    if (index >= 0 && index < depth) to[row * depth + index] = onValue;
  });
  return out;
};

/** Stock calls its output float32, whatever it is. */
const stridedSlice: Repair = (call, stock) => {
  const {dtype} = call.inputs.x!;
  const four = dtype === 'bool' ? 'int32' : dtype;
  return withInputsAs(call, ['x'], four, (widened) => {
    const out = stock(widened);
    if (out.dtype === four) return became(out, dtype, call.backend);
    call.backend.dataIdMap.get(out.dataId).dtype = four;
    return became({...out, dtype: four}, dtype, call.backend);
  });
};

/** Stock gives floats for integers. */
const resizeNearest: Repair = (call, stock) => became(stock(call), call.inputs.images!.dtype, call.backend);

/**
 * Stock traps when an integer is divided by 0, and divides booleans as if they were floats. tfjs's other
 * backends give 0.
 */
const integerDivision =
  (always?: 'int32'): Repair =>
  (call, stock) => {
    const {a, b} = call.inputs;
    const dtypes = [a!.dtype, b!.dtype];
    if (dtypes.includes('float32')) return stock(call);
    const byZero = call.backend.typedArrayFromHeap(b!).includes(0);
    if (!byZero && !dtypes.includes('bool')) return stock(call);
    const whole = became(withInputsAs(call, ['a', 'b'], 'float32', stock), 'int32', call.backend);
    return became(whole, always ?? a!.dtype, call.backend);
  };

/** A sum over no products is 0. */
const product: Repair = (call, stock) => {
  const out = stock(call);
  const {a} = call.inputs;
  if (tf.util.sizeFromShape(a!.shape) === 0) call.backend.typedArrayFromHeap(out).fill(0);
  return out;
};

/** What a reduction over nothing gives, as on tfjs's cpu backend; stock leaves the output uninitialised. */
const OF_NOTHING: Record<string, number> = {
  [tf.Sum]: 0,
  [tf.Mean]: 0,
  [tf.Prod]: 1,
  [tf.Max]: Number.NaN,
  [tf.Min]: Number.NaN,
  [tf.All]: 1,
  [tf.Any]: 0,
};

const reduction =
  (value: number): Repair =>
  (call, stock) => {
    const out = stock(call);
    const empty = tf.util.sizeFromShape(call.inputs.x!.shape) === 0;
    if (empty) call.backend.typedArrayFromHeap(out).fill(value);
    return out;
  };

/**
 * With nothing to gather from, stock returns the shape on which it works, and leaks its intermediate tensors.
 */
const gather: Repair = (call, stock) => {
  const {x, indices} = call.inputs;
  if (tf.util.sizeFromShape(x!.shape) > 0) return stock(call);
  const {axis, batchDims = 0} = call.attrs as {axis: number; batchDims?: number};
  const at = tf.util.parseAxisParam(axis, x!.shape)[0]!;
  const shape = [...x!.shape.slice(0, at), ...indices!.shape.slice(batchDims), ...x!.shape.slice(at + 1)];
  return tf.util.sizeFromShape(shape) > 0 ? stock(call) : call.backend.makeOutput(shape, x!.dtype);
};

/** Values in a row of a sparse tensor, booleans as integers; only the second output is values. */
const fillEmptyRows: Repair = (call, stock) => {
  const {values} = call.inputs;
  if (values!.dtype !== 'bool') return stock(call);
  const outputs = [withInputsAs(call, ['values', 'defaultValue'], 'int32', stock)].flat();
  return outputs.map((output, i) => (i === 1 ? became(output, 'bool', call.backend) : output));
};

/** The repairs, by kernel. */
export const VALUE_REPAIRS: Record<string, Repair> = {
  [tf.Select]: select,
  [tf.PadV2]: pad,
  [tf.OneHot]: oneHot,
  [tf.StridedSlice]: stridedSlice,
  [tf.ResizeNearestNeighbor]: resizeNearest,
  [tf.GatherV2]: gather,
  [tf.BatchMatMul]: product,
  [tf.FloorDiv]: integerDivision('int32'),
  [tf.Mod]: integerDivision(),
  [tf.SparseFillEmptyRows]: fillEmptyRows,
  ...Object.fromEntries(Object.entries(OF_NOTHING).map(([name, value]) => [name, reduction(value)])),
};
