import * as tf from '@tensorflow/tfjs-core';
import type {RouterContext} from '@tfjs-peft/routers';

/**
 * The context of one call: what was set for the site, and for want of a mask there, the one that tfjs-layers passes along, if it has
 * an entry for each of the input's rows.
 */
export function contextOf(
  input: () => tf.Tensor,
  set: RouterContext | undefined,
  mask: unknown,
): RouterContext | undefined {
  const given = set?.mask ?? (Array.isArray(mask) ? (mask[0] as unknown) : mask);
  if (!(given instanceof tf.Tensor) || !matches(given.shape, input().shape.slice(0, -1))) {
    if (set?.mask === undefined) return set;
    const {mask: _, ...rest} = set;
    return rest;
  }
  return {...set, mask: given.dtype === 'float32' ? given : tf.cast(given, 'float32')};
}

function matches(shape: number[], rows: number[]): boolean {
  return shape.length === rows.length && shape.every((size, axis) => size === rows[axis]);
}
