import * as tf from '@tensorflow/tfjs';
import {wave as waveOf} from '@tfjs-peft/testing/numbers';
import {createRouter, type RouterConfig, type RouterView, type Routing, routerDefinitions} from '../index.js';

/** A tensor of repeatable values without structure. */
export function wave(shape: number[], phase: number, size = 1): tf.Tensor {
  return tf.tensor(waveOf(tf.util.sizeFromShape(shape), phase, size), shape);
}

/** The example configs of every built-in router. */
export function examples(experts: number): RouterConfig[] {
  return routerDefinitions().flatMap(({examples = []}) =>
    examples.map((example) => ({...example, experts}) as RouterConfig),
  );
}

/** A router with repeatable weights, as variables by name. */
export function routerWith(config: RouterConfig, inputDim: number) {
  const router = createRouter(config);
  const weights = new Map<string, tf.Variable>();
  router.build(inputDim, (name, shape) => {
    const variable = tf.variable(wave(shape, weights.size + 1));
    weights.set(name, variable);
    return {read: () => variable};
  });
  const route = (view: Partial<RouterView> & {input: tf.Tensor}): Routing =>
    router.route({training: false, ...view});
  return {router, weights, route};
}

export function rowsOf(tensor: tf.Tensor): number[][] {
  return tf.reshape(tensor, [-1, tensor.shape[tensor.rank - 1]!]).arraySync() as number[][];
}

export function expectRows(got: tf.Tensor, want: number[][], digits = 5): void {
  const rows = rowsOf(got);
  expect(rows.length).toBe(want.length);
  rows.forEach((row, i) => {
    row.forEach((value, j) => {
      expect(value).toBeCloseTo(want[i]![j]!, digits);
    });
  });
}

/**
 * Compares the gradient of `loss` with respect to `at` with differences of its values. A coordinate whose
 * slopes to the two sides differ lies at a kink or jump (a maximum or a selection that changes hands) and has
 * no gradient; at most one in ten may be such a coordinate.
 */
export function expectGradient(loss: () => tf.Tensor, at: tf.Variable, tolerance = 5e-3): void {
  const {grads} = tf.variableGrads(() => tf.sum(loss()) as tf.Scalar, [at]);
  const got = grads[at.name]!.dataSync();
  const values = at.dataSync().slice();
  const step = 2e-3;
  const moved = (i: number, by: number): number => {
    const changed = values.slice();
    changed[i]! += by;
    at.assign(tf.tensor(changed, at.shape));
    return tf.sum(loss()).dataSync()[0]!;
  };
  const here = moved(0, 0);
  let kinks = 0;
  values.forEach((_, i) => {
    const [below, above] = [moved(i, -step), moved(i, step)];
    const slope = (above - below) / (2 * step);
    const size = Math.max(1, Math.abs(slope));
    if (Math.abs(above - 2 * here + below) > 0.1 * step * size) kinks++;
    else expect(Math.abs(got[i]! - slope)).toBeLessThanOrEqual(tolerance * size);
  });
  expect(kinks).toBeLessThanOrEqual(0.1 * values.length);
  at.assign(tf.tensor(values, at.shape));
}
