import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {registerAdam, unregisterAdam} from '../ops/adam.js';
import {type AdamNumbers, adamReference} from '../reference/adam.js';

/** Shapes of variables: of every rank, of size 1 and 0, and odd. */
export const ADAM_SHAPES = [[], [1], [7], [3, 5], [64, 33], [2, 3, 5], [2, 1, 3, 3], [0, 4]];

const OPTIONS = {learningRate: 0.01, beta1: 0.8, beta2: 0.97, epsilon: 1e-6};
const STEPS = 4;

const sizeOf = (shape: number[]): number => tf.util.sizeFromShape(shape);

function newAdam(): tf.AdamOptimizer {
  const {learningRate, beta1, beta2, epsilon} = OPTIONS;
  return tf.train.adam(learningRate, beta1, beta2, epsilon);
}

async function weightsOf(optimizer: tf.Optimizer): Promise<Float32Array[]> {
  // The first is the number of steps.
  const [, ...moments] = await optimizer.getWeights();
  return Promise.all(moments.map(({tensor}) => tensor.data() as Promise<Float32Array>));
}

/**
 * How far values and moments of every shape are from the float64 reference after some steps of
 * `tf.train.adam` on the active backend.
 */
export async function adamDeviation(): Promise<number> {
  const random = randomNumbers(5);
  const values = ADAM_SHAPES.map((shape) => randomValues(random, sizeOf(shape)));
  const variables = ADAM_SHAPES.map((shape, i) =>
    tf.tidy(() => tf.variable(tf.tensor(Float32Array.from(values[i]!), shape, 'float32'))),
  );
  let want: AdamNumbers[] = values.map((value) => ({
    value,
    m: new Float64Array(value.length),
    v: new Float64Array(value.length),
  }));
  const optimizer = newAdam();
  for (let step = 1; step <= STEPS; step++) {
    const gradients = ADAM_SHAPES.map((shape) => randomValues(random, sizeOf(shape)));
    want = want.map((numbers, i) => adamReference(numbers, gradients[i]!, {...OPTIONS, step}));
    tf.tidy(() =>
      optimizer.applyGradients(
        variables.map(({name}, i) => ({
          name,
          tensor: tf.tensor(Float32Array.from(gradients[i]!), ADAM_SHAPES[i]!, 'float32'),
        })),
      ),
    );
  }
  const moments = await weightsOf(optimizer);
  const count = variables.length;
  let worst = 0;
  for (const [i, {value, m, v}] of want.entries()) {
    worst = Math.max(worst, deviation(await variables[i]!.data(), value));
    worst = Math.max(worst, deviation(moments[i]!, m), deviation(moments[count + i]!, v));
  }
  optimizer.dispose();
  tf.dispose(variables);
  return worst;
}

/**
 * Trains with our Adam for some steps and goes on with the stock one, and the other way round.
 *
 * @returns how far both end from a training with the stock one alone.
 */
export async function adamSwitchDeviation(): Promise<number> {
  const train = async (ours: (step: number) => boolean): Promise<Float32Array> => {
    const w = tf.tidy(() => tf.variable(tf.linspace(-1, 1, 15).reshape([3, 5])));
    const optimizer = newAdam();
    for (let step = 0; step < 2 * STEPS; step++) {
      if (ours(step)) registerAdam();
      else unregisterAdam();
      optimizer.minimize(() => tf.sum(tf.square(tf.sub(w, 0.3))) as tf.Scalar);
    }
    const values = (await w.data()) as Float32Array;
    optimizer.dispose();
    w.dispose();
    return values;
  };
  const stock = await train(() => false);
  const first = await train((step) => step < STEPS);
  const last = await train((step) => step >= STEPS);
  registerAdam();
  return Math.max(deviation(first, stock), deviation(last, stock));
}

/** The kernels of one step of `tf.train.adam` for one variable, with moments that are there already. */
export async function adamKernels(): Promise<string[]> {
  const w = tf.variable(tf.ones([3, 5]));
  const optimizer = newAdam();
  const gradient = tf.ones([3, 5]);
  const step = (): tf.Tensor[] => {
    optimizer.applyGradients([{name: w.name, tensor: gradient}]);
    return [];
  };
  step();
  const {kernels} = await tf.profile(step);
  optimizer.dispose();
  tf.dispose([w, gradient]);
  return kernels.map(({name}) => name);
}
