import type {BackendWasm} from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import type {Call} from '../kernel-patches.js';

export type Infos = Record<string, tf.TensorInfo>;

/** A call of a stock wasm kernel. */
export type WasmCall<Attrs = Record<string, unknown>> = Call<Attrs, BackendWasm>;

/** Our replacement for a stock kernel, which receives the call and that kernel. */
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

/** What `make` makes from temporary tensors, which are disposed even if it throws. */
export function using<T>(backend: BackendWasm, temporary: tf.TensorInfo[], make: () => T): T {
  try {
    return make();
  } finally {
    for (const {dataId} of temporary) backend.disposeData(dataId);
  }
}

/** Casts `x` to another dtype and disposes the original; returns `x` itself if it has that dtype. */
export function became(x: tf.TensorInfo, dtype: tf.DataType, backend: BackendWasm): tf.TensorInfo {
  return x.dtype === dtype ? x : using(backend, [x], () => cast(x, dtype, backend));
}

/** Runs `make` on the call with some inputs cast to another dtype; the casts live until it returns. */
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
