import type {MathBackendCPU} from '@tensorflow/tfjs-backend-cpu';
import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';

/**
 * Tensors of tfjs's cpu backend as arrays of floats, which they need not be: its Cast only renames the array of integers or booleans that
 * there is, and what is sliced or mapped from such an array would be integers again.
 */
export function cpu(backend: KernelBackend): {
  read: (tensor: TensorInfo) => Float32Array;
  write: (shape: number[], values: Float32Array) => TensorInfo;
} {
  const math = backend as MathBackendCPU;
  return {
    read: (tensor) => {
      const values = math.data.get(tensor.dataId).values as ArrayLike<number>;
      return values instanceof Float32Array ? values : Float32Array.from(values);
    },
    write: (shape, values) => math.makeTensorInfo(shape, 'float32', values),
  };
}

/** The inputs of a kernel, by name. */
export function arraysOf(
  inputs: Record<string, TensorInfo>,
  backend: KernelBackend,
): Record<string, Float32Array> {
  const {read} = cpu(backend);
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, read(tensor)]));
}
