import type {WebGPUBackend} from '@tensorflow/tfjs-backend-webgpu';
import {type DataType, type KernelBackend, type TensorInfo, util} from '@tensorflow/tfjs-core';

/** What tfjs's webgpu backend reads of a program; see its WebGPUProgram. */
export interface Program {
  variableNames: string[];
  outputShape: number[];
  workgroupSize: [number, number, number];
  dispatchLayout: {x: number[]; y?: number[]; z?: number[]};
  dispatch: [number, number, number];
  /** Everything that `getUserCode` depends on; tfjs adds ranks and dtypes. */
  shaderKey: string;
  uniforms?: string;
  size?: boolean;
  getUserCode: () => string;
}

type Uniform = {type: 'int32' | 'float32'; data: number[]};

/**
 * How many workgroups each dimension of a dispatch may have, on every device; less in tests, which cannot
 * wait for so many.
 */
export const limits = {workgroups: 65535};
const FLAT_WORKGROUP = 64;

/** Two dimensions of a dispatch that hold so many workgroups, and a few more where one cannot. */
export function spread(workgroups: number): [number, number, number] {
  const groups = Math.max(1, workgroups);
  const side = groups > limits.workgroups ? Math.ceil(Math.sqrt(groups)) : groups;
  return [side, Math.ceil(groups / side), 1];
}

/** The fields of a program with one invocation per output element. */
export function flat(
  outputShape: number[],
): Pick<Program, 'outputShape' | 'workgroupSize' | 'dispatchLayout' | 'dispatch' | 'size'> {
  const size = outputShape.reduce((product, n) => product * n, 1);
  return {
    outputShape,
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    dispatchLayout: {x: outputShape.map((_, axis) => axis)},
    dispatch: spread(Math.ceil(size / FLAT_WORKGROUP)),
    size: true,
  };
}

/**
 * Runs a program. WebGPU refuses a dispatch without work groups and a binding without bytes: an output
 * without elements needs no dispatch, and an input without elements, which no shader of ours reads, is bound
 * as one zero.
 */
export function run(
  backend: KernelBackend,
  program: Program,
  inputs: TensorInfo[],
  uniforms: Uniform[] = [],
  dtype: DataType = 'float32',
): TensorInfo {
  const webgpu = backend as WebGPUBackend;
  const zeros = (shape: number[], count: number, of: DataType): TensorInfo =>
    webgpu.makeTensorInfo(shape, of, util.makeZerosTypedArray(count, of));
  if (program.outputShape.includes(0)) return zeros(program.outputShape, 0, dtype);
  const bound = inputs.map((input) =>
    input.shape.includes(0)
      ? zeros(
          input.shape.map(() => 1),
          1,
          input.dtype,
        )
      : input,
  );
  // tfjs does not export the types of its programs and uniforms, which ours follow.
  const output = webgpu.runWebGPUProgram(program as never, bound, dtype, uniforms as never);
  bound.forEach((input, i) => {
    if (input !== inputs[i]) webgpu.disposeData(input.dataId);
  });
  return output;
}
