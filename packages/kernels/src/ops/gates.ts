import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {GATES, SOFTMAX_GRAD} from '../kernel-registry.js';
import {runPeftKernel} from './kernels.js';
import {product} from './matmul.js';
import {ACTIVATION_RANKS, asMatrix, checkSize, checkTensor, leadingAttr, shapedAs} from './shapes.js';
import {SharedGradients} from './shared-gradients.js';

/** The attributes of the gates kernel, whose inputs are x [n, d] and kernel [d, E]. */
export interface GatesAttrs {
  temperature: number;
  /** Axes before the last; see leading-axes.ts. */
  leading?: number[];
}

/** The attributes of the kernel of the gradient of softmax(scale · x), whose inputs are dy and the softmax's values y, [n, E]. */
export interface SoftmaxGradAttrs {
  scale: number;
}

/**
 * The gates of a linear router, softmax(x R / temperature), in one kernel. Its gradient is one more, and a product for each of x and R.
 *
 * @param x [..., d], float32.
 * @param kernel R, [d, E], float32, E at least 1.
 * @param temperature Divides the logits; above 0. Default 1.
 * @returns [..., E], of which each row sums to 1.
 * @throws ShapeError if a rank, dtype or size does not fit; ConfigError if the temperature is not above 0.
 */
export function softmaxGates(x: tf.Tensor, kernel: tf.Tensor2D, temperature = 1): tf.Tensor {
  checkTensor('softmaxGates', 'x', x, ACTIVATION_RANKS);
  checkTensor('softmaxGates', 'kernel', kernel, [2]);
  checkSize('softmaxGates', "kernel's first axis", kernel.shape[0], x.shape[x.rank - 1]!, `x [${x.shape}]`);
  if (!(temperature > 0))
    throw new ConfigError(`softmaxGates: temperature is ${temperature}, but must be above 0.`);
  return tf.tidy(() => {
    const inputs = {x, kernel};
    return runPeftKernel<tf.Tensor>(GATES, inputs, {
      temperature,
      ...leadingAttr(x.shape.slice(0, -1), inputs),
    });
  });
}

tf.registerGradient({
  kernelName: GATES,
  inputsToSave: ['x', 'kernel'],
  outputsToSave: [true],
  gradFunc: (dys, saved, attrs) => {
    const {temperature, leading} = attrs as unknown as GatesAttrs;
    const shared = new SharedGradients();
    const matrix = (t: tf.Tensor): tf.Tensor2D => shared.make(() => asMatrix(t, leading), t as tf.Tensor2D);
    const [x, kernel, y] = saved.map(matrix) as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
    const dy = matrix(dys as tf.Tensor);
    const dLogits = shared.make(() =>
      runPeftKernel<tf.Tensor2D>(SOFTMAX_GRAD, {dy, y}, {scale: 1 / temperature}),
    );
    const [dx, dKernel] = shared.endingWith([
      shapedAs(saved[0]!, () => product(dLogits, kernel, false, true)),
      () => product(x, dLogits, true),
    ]);
    return {x: dx!, kernel: dKernel!};
  },
});
