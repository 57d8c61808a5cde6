import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {type Init, LIMITS, type Weight} from '@tfjs-peft/routers';
import {deriveSeed, initialValues} from '../random.js';

/** A weight that all sites of an adapter have in common, and its shape: what the largest of them asks for. */
export interface SharedShape {
  name: string;
  shape: number[];
}

/** The part of a shared weight that one site has. */
export interface SharedPart extends Weight {
  /** Sites with the same part have the same tensor, and this name for it. */
  readonly key: string;
  /** Shape of this part. */
  readonly shape: number[];
  /** Shape of the whole. */
  readonly whole: number[];
  /** To be called once, when the site has no use for it any more. */
  release(): void;
}

/** The parts that sites have now, and how many. */
const parts = new Map<string, {tensor: tf.Tensor; users: number}>();

/**
 * The leading part of a shared weight. Its values follow from the shape of the whole and from `init`, so they
 * are stored nowhere: the same come again in every process, on every backend.
 *
 * @throws ConfigError if the init is not drawn from a seed of its own, or the whole is
 * smaller than the part, or too large.
 */
export function takeShared(name: string, shape: number[], init: Init, whole: number[] = shape): SharedPart {
  if (init.type !== 'heUniform' || init.seed === undefined) {
    throw new ConfigError(
      `Weight '${name}' is shared, but its init is ${describe(init)}. Set init to {type: 'heUniform', ` +
        'seed: …}.',
    );
  }
  const holds = whole.length === shape.length && shape.every((axis, i) => axis <= whole[i]!);
  if (!holds || !(tf.util.sizeFromShape(whole) <= LIMITS.parameters)) {
    throw new ConfigError(
      `Weight '${name}' is shared and has shape [${whole}], but must hold [${shape}] and at most ` +
        `${LIMITS.parameters} values. ` +
        'Use the file as it was saved.',
    );
  }
  const seed = deriveSeed(init.seed, name);
  const key = JSON.stringify([name, seed, whole, shape]);
  let part = parts.get(key);
  if (part === undefined) {
    part = {tensor: leading(initialValues({type: init.type}, whole, seed), whole, shape), users: 0};
    parts.set(key, part);
  }
  part.users++;
  const {tensor} = part;
  return {
    key,
    shape,
    whole,
    read: () => tensor,
    release() {
      part.users--;
      if (part.users > 0) return;
      tensor.dispose();
      parts.delete(key);
    },
  };
}

function leading(values: Float32Array, whole: number[], shape: number[]): tf.Tensor {
  return tf.tidy(() => {
    const all = tf.tensor(values, whole);
    const start = whole.map(() => 0);
    return tf.keep(tf.slice(all, start, shape));
  });
}

/** Of shapes that several sites ask for, the one that holds them all; by name. */
export function largestShapes(asked: readonly SharedShape[]): SharedShape[] {
  const largest = new Map<string, number[]>();
  for (const {name, shape} of asked) {
    const before = largest.get(name) ?? shape;
    largest.set(
      name,
      shape.map((axis, i) => Math.max(axis, before[i] ?? 0)),
    );
  }
  return [...largest].map(([name, shape]) => ({name, shape}));
}
