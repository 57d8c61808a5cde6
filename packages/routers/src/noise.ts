import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import type {RouterContext} from './router.js';

/**
 * Uniform numbers in [0, 1) of a shape: the context's own, or else tfjs's.
 *
 * @throws ConfigError if the context's function gives no tensor; ShapeError if it gives one of another shape.
 */
export function uniformNoise(what: string, context: RouterContext | undefined, shape: number[]): tf.Tensor {
  const make = context?.noise;
  if (make === undefined) return tf.randomUniform(shape);
  const noise: unknown = make(shape);
  if (!(noise instanceof tf.Tensor)) {
    throw new ConfigError(
      `${what}: the context's noise gave no tensor. Return one of the shape that it is asked for, [${shape}] here.`,
    );
  }
  if (!tf.util.arraysEqual(noise.shape, shape)) {
    throw new ShapeError(
      `${what}: the context's noise has shape [${noise.shape}], but must be [${shape}]. Return the shape that is asked for.`,
    );
  }
  return noise;
}

/** Uniform numbers from 1 - jitter to 1 + jitter, to multiply by. */
export function jitterOf(
  what: string,
  jitter: number,
  context: RouterContext | undefined,
  shape: number[],
): tf.Tensor {
  return tf.add(1 - jitter, tf.mul(2 * jitter, uniformNoise(what, context, shape)));
}
