import * as tf from '@tensorflow/tfjs-core';
import type {RouterContext} from '@tfjs-peft/routers';

/**
 * The context of one call: what was set for the site; and as its mask the one that was set, or else the one that tfjs-layers passes
 * along, whichever has an entry for each of the input's rows. Behind a prompt, that is the latter.
 */
export function contextOf(
  input: () => tf.Tensor,
  set: RouterContext | undefined,
  mask: unknown,
): RouterContext | undefined {
  const fits = (given: unknown): given is tf.Tensor =>
    given instanceof tf.Tensor && matches(given.shape, input().shape.slice(0, -1));
  const passed: unknown = Array.isArray(mask) ? mask[0] : mask;
  const given = [set?.mask, passed].find(fits);
  if (given !== undefined)
    return {...set, mask: given.dtype === 'float32' ? given : tf.cast(given, 'float32')};
  if (set?.mask === undefined) return set;
  const {mask: _, ...rest} = set;
  return rest;
}

function matches(shape: number[], rows: number[]): boolean {
  return shape.length === rows.length && shape.every((size, axis) => size === rows[axis]);
}
