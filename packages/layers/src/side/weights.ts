import {ConfigError} from '@tfjs-peft/kernels';
import {LIMITS, type Weight} from '@tfjs-peft/routers';
import {sizeOf} from '../core/adapters/count.js';
import {deriveSeed, initialValues, type PlainInit} from '../core/random.js';

/**
 * Copies of one weight, side by side along an axis, each with noise of its own from N(0, noise²), so that the
 * copies do not stay the same.
 */
export interface CopiesInit {
  type: 'copies';
  /** How many. */
  copies: number;
  /** The axis along which they lie. */
  axis: 0 | 1;
  /** How the one weight starts. */
  of: PlainInit;
  /** Standard deviation of the noise. */
  noise: number;
}

/** The initial value of a weight of a side network. */
export type SideInit = PlainInit | CopiesInit;

/** Declares a float32 weight of a side network. */
export type AddSideWeight = (name: string, shape: number[], init: SideInit) => Weight;

/** A weight that a side network has. */
export interface SideWeight {
  name: string;
  shape: number[];
  init: SideInit;
}

/** Initial values of a weight; the same seed gives the same on every backend. */
export function sideValues(init: SideInit, shape: readonly number[], seed: number): Float32Array {
  if (init.type !== 'copies') return initialValues(init, shape, seed);
  const {copies, axis, of, noise} = init;
  const one = shape.map((size, i) => (i === axis ? size / copies : size));
  const values = initialValues(of, one, seed);
  const whole = initialValues({type: 'normal', stddev: noise}, shape, deriveSeed(seed, 'noise'));
  // Runs of the one weight that stay together where the copies lie side by side.
  const run = sizeOf(one.slice(axis));
  for (let at = 0; at < values.length; at += run)
    for (let copy = 0; copy < copies; copy++)
      for (let i = 0; i < run; i++) whole[at * copies + copy * run + i]! += values[at + i]!;
  return whole;
}

/** The same, and an error where the weights become too many, before any is made. */
export function bounded(add: AddSideWeight): AddSideWeight {
  let total = 0;
  return (name, shape, init) => {
    total += sizeOf(shape);
    if (!(total <= LIMITS.parameters)) {
      throw new ConfigError(
        `side network: weight '${name}' [${shape}] takes it above ${LIMITS.parameters} parameters. Set a ` +
          'larger reduction, or fewer experts.',
      );
    }
    return add(name, shape, init);
  };
}

/** The same, which lists what is declared. */
export function listed(add: AddSideWeight, weights: Weight[]): AddSideWeight {
  return (name, shape, init) => {
    const weight = add(name, shape, init);
    weights.push(weight);
    return weight;
  };
}

/** The weights that `build` declares, without a value of any. */
export function declaredBy(build: (add: AddSideWeight) => void): SideWeight[] {
  const weights: SideWeight[] = [];
  build((name, shape, init) => {
    weights.push({name, shape, init});
    return NO_VALUE;
  });
  return weights;
}

const NO_VALUE: Weight = {
  read() {
    throw new ConfigError('This side network has no weights yet. Give it some in build.');
  },
};

/** A generator of seeds for the weights of a network, by their names. */
export function seedsFrom(seed: number | undefined): (name: string) => number {
  const from = seed ?? Math.floor(Math.random() * 2 ** 32);
  return (name) => deriveSeed(from, name);
}

/** The same, with names behind the name of a part. */
export function within(part: string, add: AddSideWeight): AddSideWeight {
  return (name, shape, init) => add(`${part}/${name}`, shape, init);
}
