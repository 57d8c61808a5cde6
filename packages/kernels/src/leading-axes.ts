import * as tf from '@tensorflow/tfjs-core';

/*
 * Kernels work on matrices, and activations have more axes. A Reshape before and after each kernel would be
 * on the gradient's tape, which keeps its input, and a handle of each, for a shape: in a deep model that is
 * most of what the tape keeps. So an op hands over its tensors as they are, with the axes before the last in
 * the attribute `leading`, and the matrices are made where the tape does not see it.
 */

type Infos = Record<string, tf.TensorInfo>;
type Outputs = tf.TensorInfo | tf.TensorInfo[];
type Run = (inputs: Infos) => Outputs;

/** How a backend, or a composed kernel, reshapes a tensor. */
type Reshape = (info: tf.TensorInfo, shape: number[]) => tf.TensorInfo;

/** [...leading, ...rest] as [n, size of rest]. */
export function matrixShape(shape: number[], leading: readonly number[]): [number, number] {
  return [tf.util.sizeFromShape([...leading]), tf.util.sizeFromShape(shape.slice(leading.length))];
}

function withAxes(run: Run, inputs: Infos, leading: number[], reshape: Reshape): Outputs {
  const flat = Object.fromEntries(
    Object.entries(inputs).map(([name, info]) => [
      name,
      info.shape.length > 2 ? reshape(info, matrixShape(info.shape, leading)) : info,
    ]),
  );
  const shaped = (info: tf.TensorInfo): tf.TensorInfo =>
    leading.length === 1 ? info : reshape(info, [...leading, info.shape[1]!]);
  const outputs = run(flat);
  return Array.isArray(outputs) ? outputs.map(shaped) : shaped(outputs);
}

/** Runs a kernel of matrices on a backend's own infos of tensors with those leading axes. */
export function onMatrices(run: Run, inputs: Infos, leading: number[], backend: tf.KernelBackend): Outputs {
  const {kernelFunc} = tf.getKernel(tf.Reshape, tf.getBackend());
  const replaced: tf.TensorInfo[] = [];
  const known = new Set(Object.values(inputs));
  const outputs = withAxes(run, inputs, leading, (info, shape) => {
    const made = kernelFunc({inputs: {x: info}, attrs: {shape}, backend}) as tf.TensorInfo;
    // Each Reshape holds its data once more, so flat inputs are disposed at the end, and outputs under their
    // old shape.
    replaced.push(known.has(info) ? made : info);
    return made;
  });
  for (const {dataId} of replaced) backend.disposeData(dataId);
  return outputs;
}

/** The same for a kernel that is composed of tfjs's ops, and works on tensors. */
export function onMatrixTensors(run: Run, inputs: Infos, leading: number[]): Outputs {
  return tf.tidy(
    () =>
      withAxes(run, inputs, leading, (info, shape) => tf.reshape(info as tf.Tensor, shape)) as
        | tf.Tensor
        | tf.Tensor[],
  );
}
