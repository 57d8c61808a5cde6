import * as tf from '@tensorflow/tfjs-core';
import {ShapeError} from '../errors.js';
import type {AdamAttrs} from '../kernel-attrs.js';
import {type AnyPatch, PatchSet, withdraw} from '../patches.js';
import {hasKernel, runPeftKernel} from './kernels.js';

interface Moment {
  originalName: string;
  variable: tf.Variable;
}

/** What tfjs's AdamOptimizer keeps; all but its private members is public in its config. */
interface AdamState {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  accBeta1: tf.Variable;
  accBeta2: tf.Variable;
  accumulatedFirstMoment: Moment[];
  accumulatedSecondMoment: Moment[];
  readonly iterations: number;
  incrementIterations(): void;
}

type Gradients = tf.NamedTensorMap | {name: string; tensor: tf.Tensor}[];
type Apply = (this: tf.AdamOptimizer, gradients: Gradients) => void;

interface Update {
  at: number;
  value: tf.Variable;
  gradient: tf.Tensor;
}

/** The updates to make; undefined if anything does not suit the kernel, so that the stock method must run. */
function updatesOf(gradients: Gradients): Update[] | undefined {
  const named = Array.isArray(gradients)
    ? gradients.map(({name, tensor}) => [name, tensor] as const)
    : Object.entries(gradients);
  const updates: Update[] = [];
  for (const [at, [name, gradient]] of named.entries()) {
    const value = tf.engine().registeredVariables[name];
    if (value === undefined || gradient == null) return undefined;
    if (value.dtype !== 'float32' || gradient.dtype !== 'float32') return undefined;
    if (!tf.util.arraysEqual(value.shape, gradient.shape)) return undefined;
    updates.push({at, value, gradient});
  }
  return updates;
}

/** The variables to which moments made here belong; for loaded moments, they are unknown. */
const owners = new WeakMap<tf.Variable, tf.Variable>();

/**
 * tfjs finds a variable's moments by its position in the list. In another list, such as that of an adapter
 * enabled since, the moments at that position belong to another variable, usually of another shape.
 */
function checkMoments(moments: Moment[], updates: Update[]): void {
  for (const {at, value} of updates) {
    const moment = moments[at]?.variable;
    if (moment === undefined) continue;
    const owner = owners.get(moment);
    if (tf.util.arraysEqual(moment.shape, value.shape) && (owner ?? value) === value) continue;
    const whose = owner === undefined || owner === value ? '' : ` of variable '${owner.name}'`;
    throw new ShapeError(
      `tf.train.adam: the moments at place ${at} are those${whose} [${moment.shape}], but the variable ` +
        `there is '${value.name}' ` +
        `[${value.shape}]. An optimizer goes with one list of variables: make a new one for other variables.`,
    );
  }
}

function momentOf(moments: Moment[], {at, value}: Update, suffix: string): tf.Variable {
  if (moments[at] === undefined) {
    const variable = tf.tidy(() => tf.variable(tf.zerosLike(value), false));
    owners.set(variable, value);
    moments[at] = {originalName: `${value.name}/${suffix}`, variable};
  }
  return moments[at]!.variable;
}

const fused = (stock: Apply): Apply =>
  function (gradients) {
    // tfjs declares private what its own getConfig shows.
    const state = this as unknown as AdamState;
    const known = Array.isArray(state.accumulatedFirstMoment) && state.accBeta1 instanceof tf.Variable;
    const updates = known && hasKernel('PeftAdam') ? updatesOf(gradients) : undefined;
    if (updates === undefined) {
      stock.call(this, gradients);
      return;
    }
    checkMoments(state.accumulatedFirstMoment, updates);
    checkMoments(state.accumulatedSecondMoment, updates);
    const {learningRate, beta1, beta2, epsilon} = state;
    const step = state.iterations + 1;
    const attrs: AdamAttrs = {
      learningRate,
      beta1,
      beta2,
      epsilon,
      correction1: 1 - beta1 ** step,
      correction2: 1 - beta2 ** step,
    };
    tf.tidy(() => {
      for (const update of updates) {
        const {value, gradient} = update;
        const m = momentOf(state.accumulatedFirstMoment, update, 'm');
        const v = momentOf(state.accumulatedSecondMoment, update, 'v');
        const [newM, newV, newValue] = runPeftKernel('PeftAdam', {value, m, v, gradient}, attrs);
        m.assign(newM!);
        v.assign(newV!);
        value.assign(newValue!);
      }
      // Not read here; the stock method goes on from them if it gets the next step.
      state.accBeta1.assign(tf.scalar(beta1 ** (step + 1)));
      state.accBeta2.assign(tf.scalar(beta2 ** (step + 1)));
    });
    state.incrementIterations();
  };

/** Our Adam in place of tfjs's method; every backend's entry point brings it. */
export const ADAM: AnyPatch = {
  slot: {
    key: 'method AdamOptimizer.applyGradients',
    read: () => tf.AdamOptimizer.prototype.applyGradients,
    write: (method) => {
      tf.AdamOptimizer.prototype.applyGradients = method;
    },
    ready: () => true,
  },
  reason: 'fused',
  make: fused,
};

const patches = new PatchSet('adam', () => [ADAM]);

/**
 * Makes `tf.train.adam` (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, with epsilon added as tfjs does)
 * update each variable by one kernel instead of fourteen, on backends that have ours: the same numbers up
 * to rounding, and the same moments under the same names, so that `getWeights`, `setWeights` and
 * checkpoints of either kind work for both. Where the backend has no such kernel, or a variable or gradient
 * is not float32, the stock method runs. A step for other variables than those that the moments belong to
 * is a ShapeError, before anything is changed. Done by importing an entry point of a backend; calling it
 * again is harmless.
 *
 * @example
 * ```ts
 * import {registerAdam} from '@tfjs-peft/kernels';
 *
 * registerAdam();
 * ```
 */
export function registerAdam(): void {
  patches.apply();
}

/**
 * Restores the stock method, whichever entry points replaced it.
 *
 * @example
 * ```ts
 * import {unregisterAdam} from '@tfjs-peft/kernels';
 *
 * unregisterAdam();
 * ```
 */
export function unregisterAdam(): void {
  withdraw(ADAM);
}
