import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import type {RouterContext} from './router.js';

/**
 * Uniform numbers in [0, 1) of a shape, from the context's `noise` if it has one, else from
 * `tf.randomUniform`.
 *
 * @throws ConfigError if `noise` does not return a tensor; ShapeError if the tensor has another shape.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {uniformNoise} from '@tfjs-peft/routers';
 *
 * const half = uniformNoise('my router', {noise: (shape) => tf.fill(shape, 0.5)}, [2, 3]);
 * ```
 */
export function uniformNoise(what: string, context: RouterContext | undefined, shape: number[]): tf.Tensor {
  const make = context?.noise;
  if (make === undefined) return tf.randomUniform(shape);
  const noise: unknown = make(shape);
  if (!(noise instanceof tf.Tensor)) {
    throw new ConfigError(
      `${what}: the context's noise returned no tensor. Return a tensor of the requested shape, [${shape}].`,
    );
  }
  if (!tf.util.arraysEqual(noise.shape, shape)) {
    throw new ShapeError(
      `${what}: the context's noise has shape [${noise.shape}], but must be [${shape}]. Return the ` +
        'requested shape.',
    );
  }
  return noise;
}

/** Uniform factors from 1 - jitter to 1 + jitter. */
export function jitterOf(
  what: string,
  jitter: number,
  context: RouterContext | undefined,
  shape: number[],
): tf.Tensor {
  return tf.add(1 - jitter, tf.mul(2 * jitter, uniformNoise(what, context, shape)));
}
