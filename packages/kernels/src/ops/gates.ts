import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {product} from './matmul.js';
import {ACTIVATION_RANKS, asMatrix, checkSize, checkTensor, shapedAs} from './shapes.js';

/**
 * The gates of a linear router, softmax(x R / temperature), in one kernel. Its gradient is one more, and a
 * product for each of x and R.
 *
 * @param x [..., d], float32.
 * @param kernel R, [d, E], float32, E at least 1.
 * @param temperature Divides the logits; above 0. Default 1.
 * @returns [..., E], of which each row sums to 1.
 * @throws ShapeError if a rank, dtype or size does not fit; ConfigError if the temperature is not above 0.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {softmaxGates} from '@tfjs-peft/kernels';
 *
 * const gates = softmaxGates(tf.ones([2, 5, 8]), tf.zeros([8, 4])); // [2, 5, 4], 1/4 each
 * ```
 */
export function softmaxGates(x: tf.Tensor, kernel: tf.Tensor2D, temperature = 1): tf.Tensor {
  checkTensor('softmaxGates', 'x', x, ACTIVATION_RANKS);
  checkTensor('softmaxGates', 'kernel', kernel, [2]);
  checkSize('softmaxGates', "kernel's first axis", kernel.shape[0], x.shape[x.rank - 1]!, `x [${x.shape}]`);
  if (!(temperature > 0))
    throw new ConfigError(
      `softmaxGates: temperature is ${temperature}, but must be above 0. Set a positive temperature.`,
    );
  return tf.tidy(() =>
    runPeftKernel('PeftGates', {x, kernel}, {temperature}, {leading: x.shape.slice(0, -1)}),
  );
}

definePeftGradient('PeftGates', {inputs: ['x', 'kernel'], outputs: [true]}, (call) => {
  const {inputs, outputs, attrs, leading, shared} = call;
  const matrix = (t: tf.Tensor): tf.Tensor2D => shared.make(() => asMatrix(t, leading), t as tf.Tensor2D);
  const [x, kernel, y, dy] = [inputs.x, inputs.kernel, outputs[0]!, call.dy].map(matrix) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
  const dLogits = shared.make(() =>
    runPeftKernel('PeftSoftmaxGrad', {dy, y}, {scale: 1 / attrs.temperature}),
  );
  return {
    x: shapedAs(inputs.x, () => product(dLogits, kernel, false, true)),
    kernel: () => product(x, dLogits, true),
  };
});
