import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {type Init, LIMITS, type Weight} from '@tfjs-peft/routers';
import {deriveSeed, initialValues} from '../random.js';

/** A weight that all sites of an adapter have in common, and its shape: what the largest of them asks for. */
export interface SharedShape {
  name: string;
  shape: number[];
  /** Whether the adapter's file has its values; otherwise they are drawn again. */
  saved?: true;
}

/** The part of a shared weight that one site has. */
export interface SharedPart extends Weight {
  /** Sites with the same part have the same tensor, and this name for it. */
  readonly key: string;
  /** Shape of this part. */
  readonly shape: number[];
  /** Shape of the whole. */
  readonly whole: number[];
  /** Values of the whole. */
  values(): Float32Array;
  /**
   * Takes other values for the whole, which are not copied: parts that are given one array have one tensor.
   *
   * @throws ConfigError if there are more or fewer than the whole has.
   */
  use(values: Float32Array): void;
  /** To be called once, when the site has no use for it any more. */
  release(): void;
}

/** The parts that sites have now, and how many. */
const parts = new Map<string, {tensor: tf.Tensor; users: number}>();

/** Numbers of the arrays that parts were given, so that a key can name one. */
const numbers = new WeakMap<Float32Array, number>();
let lastNumber = 0;

/**
 * The leading part of a shared weight. Its values follow from the shape of the whole and from `init`: the
 * same come again in every process, on every backend, until {@link SharedPart.use} gives others.
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
  const draw = () => initialValues({type: init.type}, whole, seed);
  let given: Float32Array | undefined;
  let key = JSON.stringify([name, seed, whole, shape]);
  let tensor = hold(key, draw, whole, shape);
  return {
    get key() {
      return key;
    },
    shape,
    whole,
    read: () => tensor,
    values: () => given ?? draw(),
    use(values) {
      if (values.length !== tf.util.sizeFromShape(whole)) {
        throw new ConfigError(
          `Weight '${name}' is shared and has shape [${whole}], but was given ${values.length} values. Pass ` +
            `${tf.util.sizeFromShape(whole)}.`,
        );
      }
      if (!numbers.has(values)) numbers.set(values, ++lastNumber);
      const next = JSON.stringify([name, 'given', numbers.get(values), whole, shape]);
      tensor = hold(next, () => values, whole, shape);
      letGo(key);
      key = next;
      given = values;
    },
    release: () => letGo(key),
  };
}

/** The one tensor of all parts with that key. */
function hold(key: string, draw: () => Float32Array, whole: number[], shape: number[]): tf.Tensor {
  let part = parts.get(key);
  if (part === undefined) {
    part = {tensor: leading(draw(), whole, shape), users: 0};
    parts.set(key, part);
  }
  part.users++;
  return part.tensor;
}

function letGo(key: string): void {
  const part = parts.get(key)!;
  part.users--;
  if (part.users > 0) return;
  part.tensor.dispose();
  parts.delete(key);
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
  const largest = new Map<string, SharedShape>();
  for (const {name, shape, saved} of asked) {
    const before = largest.get(name)?.shape ?? shape;
    largest.set(name, {
      name,
      shape: shape.map((axis, i) => Math.max(axis, before[i] ?? 0)),
      ...(saved && {saved}),
    });
  }
  return [...largest.values()];
}

/**
 * A file has one value of a saved weight, so that sites cannot differ in it.
 *
 * @throws ConfigError if one site saves what another one does not, or draws from another seed.
 */
export function checkSavedOnce(asked: readonly (SharedShape & {init: Init})[]): void {
  const first = new Map<string, (typeof asked)[number]>();
  for (const weight of asked) {
    const other = first.get(weight.name) ?? weight;
    first.set(weight.name, other);
    const same =
      other.saved === weight.saved &&
      (!weight.saved || JSON.stringify(other.init) === JSON.stringify(weight.init));
    if (same) continue;
    throw new ConfigError(
      `upgrade: sites give the shared weight '${weight.name}' different seeds, or only some save it, but a ` +
        'file has it once. Give all sites the same options for it, or save it at none.',
    );
  }
}
