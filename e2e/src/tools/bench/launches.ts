import * as tf from '@tensorflow/tfjs-core';

type Run = (...args: unknown[]) => tf.TensorInfo;

/** The method by which every kernel of a GPU backend starts a program. */
const METHODS: Record<string, string> = {webgpu: 'runWebGPUProgram', webgl: 'runWebGLProgram'};

/**
 * Counts the programs that the current backend starts on the GPU until `stop` is called. tfjs's own kernel
 * calls would not do: some start none, such as Reshape, and others several.
 *
 * @returns undefined where the backend is no GPU's.
 */
export function countLaunches(): {stop(): number} | undefined {
  const method = METHODS[tf.getBackend()];
  if (method === undefined) return undefined;
  const backend = tf.backend() as unknown as Record<string, Run>;
  const original = backend[method]!;
  let count = 0;
  backend[method] = function (this: unknown, ...args) {
    const output = original.apply(this, args);
    // Nothing is started for an output without elements.
    if (tf.util.sizeFromShape(output.shape) > 0) count++;
    return output;
  };
  return {
    stop() {
      // The prototype's own shows again.
      delete backend[method];
      return count;
    },
  };
}
