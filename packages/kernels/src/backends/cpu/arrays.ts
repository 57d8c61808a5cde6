import type {MathBackendCPU} from '@tensorflow/tfjs-backend-cpu';
import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';

/**
 * The values of a tensor on tfjs's cpu backend as floats. They may be stored otherwise: its Cast only
 * relabels an array of integers or booleans, and slicing or mapping such an array would give integers again.
 */
export function cpu(backend: KernelBackend): {
  read: (tensor: TensorInfo) => Float32Array;
  /** The integers of an int32 tensor, of which floats would hold 24 bits. */
  words: (tensor: TensorInfo) => Int32Array;
  write: (shape: number[], values: Float32Array) => TensorInfo;
} {
  const math = backend as MathBackendCPU;
  const valuesOf = (tensor: TensorInfo) => math.data.get(tensor.dataId).values as ArrayLike<number>;
  return {
    read: (tensor) => {
      const values = valuesOf(tensor);
      return values instanceof Float32Array ? values : Float32Array.from(values);
    },
    words: (tensor) => {
      const values = valuesOf(tensor);
      return values instanceof Int32Array ? values : Int32Array.from(values);
    },
    write: (shape, values) => math.makeTensorInfo(shape, 'float32', values),
  };
}

/** The inputs of a kernel, by name. */
export function arraysOf<Inputs extends object>(
  inputs: Inputs,
  backend: KernelBackend,
): {[Name in keyof Inputs]: undefined extends Inputs[Name] ? Float32Array | undefined : Float32Array} {
  const {read} = cpu(backend);
  const arrays: Partial<Record<keyof Inputs, Float32Array>> = {};
  for (const name in inputs) {
    const tensor = inputs[name] as TensorInfo | undefined;
    if (tensor !== undefined) arrays[name] = read(tensor);
  }
  return arrays as ReturnType<typeof arraysOf<Inputs>>;
}
