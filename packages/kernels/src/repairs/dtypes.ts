import * as tf from '@tensorflow/tfjs-core';
import {became, type Infos, type Repair, withInputsAs} from './infos.js';

/*
 * A stock wasm kernel that has no code for a dtype leaves its output as the memory was, or takes every byte
 * of a boolean for a float, and reads and writes past the tensors. Here such inputs are brought to a dtype
 * that the kernel has, and the output back.
 */

interface DTypes {
  /** The inputs that hold the values. */
  inputs: string[];
  /** What booleans become, and what integers become; a dtype that is not named stays as it is. */
  bool: 'int32' | 'float32';
  int32?: 'float32';
  /** The output's dtype, where it is not that of the values. */
  output?: tf.DataType;
}

const X = ['x'];
const BOTH = ['a', 'b'];

const UNARY: Record<string, DTypes> = Object.fromEntries([
  ...[tf.Abs, tf.Neg, tf.Square, tf.Relu, tf.Relu6, tf.Selu, tf.Round, tf.Sign, tf.Softplus, tf.Step].map(
    (name): [string, DTypes] => [name, {inputs: X, bool: 'int32'}],
  ),
  ...[
    tf.Acos,
    tf.Acosh,
    tf.Asin,
    tf.Asinh,
    tf.Atan,
    tf.Atanh,
    tf.Expm1,
    tf.Log1p,
    tf.Reciprocal,
    tf.Sinh,
  ].map((name): [string, DTypes] => [name, {inputs: X, bool: 'float32', int32: 'float32'}]),
  ...[tf.Exp, tf.LeakyRelu].map((name): [string, DTypes] => [
    name,
    {inputs: X, bool: 'float32', output: 'float32'},
  ]),
  ...[tf.IsNan, tf.IsInf, tf.IsFinite].map((name): [string, DTypes] => [
    name,
    {inputs: X, bool: 'float32', int32: 'float32', output: 'bool'},
  ]),
]);

const TABLE: Record<string, DTypes> = {
  ...UNARY,
  [tf.Atan2]: {inputs: BOTH, bool: 'int32'},
  [tf.RealDiv]: {inputs: BOTH, bool: 'float32'},
  [tf.Prelu]: {inputs: ['x', 'alpha'], bool: 'float32', int32: 'float32', output: 'float32'},
  [tf.Cumsum]: {inputs: X, bool: 'int32', output: 'int32'},
  [tf.Cumprod]: {inputs: X, bool: 'int32', output: 'int32'},
  [tf.Reverse]: {inputs: X, bool: 'int32'},
  [tf.TopK]: {inputs: X, bool: 'int32'},
  [tf.Bincount]: {inputs: ['weights'], bool: 'int32'},
  [tf.DenseBincount]: {inputs: ['weights'], bool: 'int32'},
  [tf.Dilation2D]: {inputs: ['x', 'filter'], bool: 'int32'},
  [tf.SparseSegmentMean]: {inputs: ['data'], bool: 'int32'},
  [tf.SparseSegmentSum]: {inputs: ['data'], bool: 'int32'},
  [tf.MaxPool3D]: {inputs: X, bool: 'float32', int32: 'float32', output: 'float32'},
  [tf.Conv2DBackpropInput]: {inputs: ['dy', 'filter'], bool: 'float32', int32: 'float32', output: 'float32'},
  [tf.FusedBatchNorm]: {
    inputs: ['x', 'mean', 'variance', 'offset', 'scale'],
    bool: 'float32',
    int32: 'float32',
  },
};

/** The dtype on which the kernel runs: the widest that its inputs become. */
function workingDtype({inputs: names, ...becomes}: DTypes, inputs: Infos): tf.DataType | undefined {
  if (names.every((name) => inputs[name] === undefined || inputs[name].dtype === 'float32')) return undefined;
  const wanted = names.flatMap((name) => {
    const dtype = inputs[name]?.dtype;
    return dtype === 'bool' || dtype === 'int32' ? (becomes[dtype] ?? []) : [];
  });
  const floats = wanted.includes('float32') || names.some((name) => inputs[name]?.dtype === 'float32');
  return wanted.length === 0 ? undefined : floats ? 'float32' : 'int32';
}

/** The repairs, by kernel. */
export const DTYPE_REPAIRS: Record<string, Repair> = Object.fromEntries(
  Object.entries(TABLE).map(([kernelName, dtypes]): [string, Repair] => [
    kernelName,
    (call, stock) => {
      const working = workingDtype(dtypes, call.inputs);
      if (working === undefined) return stock(call);
      const {dtype} = call.inputs[dtypes.inputs[0]!]!;
      const outputs = [withInputsAs(call, dtypes.inputs, working, stock)].flat() as tf.TensorInfo[];
      outputs[0] = back(outputs[0]!, dtypes.output ?? dtype, call.backend);
      return outputs.length === 1 ? outputs[0] : outputs;
    },
  ]),
);

/** Booleans by way of integers, as tfjs's other backends store them: what is less than 1 is false. */
function back(x: tf.TensorInfo, dtype: tf.DataType, backend: Parameters<typeof became>[2]): tf.TensorInfo {
  return became(dtype === 'bool' ? became(x, 'int32', backend) : x, dtype, backend);
}
