import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import type {Call} from '../kernel-patches.js';

export type Infos = Record<string, tf.TensorInfo>;

/** A call of a stock wasm kernel. */
export type WasmCall<Attrs = Record<string, unknown>> = Call<Attrs, BackendWasm>;

/** A call of a stock kernel, and that kernel, to the outcome of ours in front of it. */
export type Repair = (
  call: WasmCall,
  stock: (call: WasmCall) => tf.TensorInfo,
) => tf.TensorInfo | tf.TensorInfo[];

/** Runs a kernel of the wasm backend outside the tape. */
export function run(
  kernelName: string,
  inputs: Infos,
  attrs: tf.NamedAttrMap,
  backend: tf.KernelBackend,
): tf.TensorInfo {
  const {kernelFunc} = tf.getKernel(kernelName, 'wasm');
  return kernelFunc({inputs, attrs, backend}) as tf.TensorInfo;
}

export function cast(x: tf.TensorInfo, dtype: tf.DataType, backend: BackendWasm): tf.TensorInfo {
  return run(tf.Cast, {x}, {dtype}, backend);
}

/** What `make` makes, of temporary tensors that are given up whatever becomes of it. */
export function using<T>(backend: BackendWasm, temporary: tf.TensorInfo[], make: () => T): T {
  try {
    return make();
  } finally {
    for (const {dataId} of temporary) backend.disposeData(dataId);
  }
}

/** `x` as another dtype, given up: itself where it is that already. */
export function became(x: tf.TensorInfo, dtype: tf.DataType, backend: BackendWasm): tf.TensorInfo {
  return x.dtype === dtype ? x : using(backend, [x], () => cast(x, dtype, backend));
}

/** The call with some of its inputs as another dtype; `make` gets it while they are there. */
export function withInputsAs<T>(
  call: WasmCall,
  names: string[],
  dtype: tf.DataType,
  make: (call: WasmCall) => T,
): T {
  const {inputs, backend} = call;
  const others = names.filter((name) => inputs[name] !== undefined && inputs[name].dtype !== dtype);
  const made: Infos = {};
  try {
    for (const name of others) made[name] = cast(inputs[name]!, dtype, backend);
    return make({...call, inputs: {...inputs, ...made}});
  } finally {
    for (const {dataId} of Object.values(made)) backend.disposeData(dataId);
  }
}
