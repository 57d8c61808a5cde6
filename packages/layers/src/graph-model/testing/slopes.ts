import * as tf from '@tensorflow/tfjs-core';
import {uniformNumbers} from '@tfjs-peft/routers';
import type {GraphTrainer} from '../../graph.js';
import type {GraphInputs} from '../training/inputs.js';

/**
 * Of a variable's size: the largest says most where nothing bends, the smaller ones reach over fewer kinks.
 */
const STEPS = [2 ** -6, 2 ** -8, 2 ** -10, 2 ** -12, 2 ** -14];

/** How the gradient of a whole model compares with central differences. */
export interface Slope {
  /**
   * The variable that was moved along its own gradient, or 'all' for all variables along a random direction.
   */
  moved: string;
  gradient: number;
  /** That of the steps that comes closest. */
  difference: number;
  /** How far the two are apart, in parts of the gradient's norm. */
  apart: number;
}

/**
 * Compares the gradient of a smooth loss, the outputs times random numbers, with central differences. The
 * loss is summed in double precision off the backend, so that only the outputs themselves are rounded.
 */
export async function slopes(training: GraphTrainer, inputs: GraphInputs): Promise<Slope[]> {
  const variables = training.trainableVariables();
  const weights: Float32Array[] = [];
  const first = [await training.predict(inputs)].flat();
  first.forEach((out, i) => {
    const random = uniformNumbers(31 + i);
    weights.push(Float32Array.from({length: out.size}, () => (2 * random() - 1) / out.size));
  });
  tf.dispose(first);

  const {value, grads} = await training.gradients(inputs, (outputs) =>
    tf.addN(
      [outputs].flat().map((out, i) => tf.sum(tf.mul(tf.reshape(out, [-1]), tf.tensor1d(weights[i]!)))),
    ),
  );
  value.dispose();
  const slope = variables.map(({name}) => Float64Array.from(grads[name]!.dataSync()));
  tf.dispose(grads);

  const loss = async (): Promise<number> => {
    const outputs = [await training.predict(inputs)].flat();
    let sum = 0;
    outputs.forEach((out, i) => {
      out.dataSync().forEach((number, j) => {
        sum += number * weights[i]![j]!;
      });
    });
    tf.dispose(outputs);
    return sum;
  };

  const kept = variables.map((variable) => Float64Array.from(variable.dataSync()));
  const move = (ways: (Float64Array | undefined)[], by: number): void =>
    variables.forEach((variable, i) => {
      const way = ways[i];
      if (way === undefined) return;
      const moved = Float32Array.from(kept[i]!, (number, j) => number + by * way[j]!);
      tf.tidy(() => variable.assign(tf.tensor(moved, variable.shape)));
    });
  const compare = async (moved: string, ways: (Float64Array | undefined)[]): Promise<Slope> => {
    const only = ways.flatMap((way, i) => (way === undefined ? [] : [i]));
    const gradient = only.reduce(
      (sum, i) => sum + ways[i]!.reduce((part, way, j) => part + way * slope[i]![j]!, 0),
      0,
    );
    const norm = Math.hypot(...only.map((i) => length(slope[i]!)));
    const scale =
      Math.hypot(...only.map((i) => length(kept[i]!))) / Math.hypot(...only.map((i) => length(ways[i]!)));
    let best: Slope = {moved, gradient, difference: Number.NaN, apart: Number.POSITIVE_INFINITY};
    for (const step of STEPS) {
      move(ways, step * scale);
      const above = await loss();
      move(ways, -step * scale);
      const difference = (above - (await loss())) / (2 * step * scale);
      const apart = Math.abs(gradient - difference) / norm;
      if (apart < best.apart) best = {moved, gradient, difference, apart};
    }
    move(ways, 0);
    return best;
  };

  const all: Slope[] = [];
  for (const [i, {name}] of variables.entries()) {
    const unit = slope[i]!.map((number) => number / length(slope[i]!));
    all.push(
      await compare(
        name,
        variables.map((_, j) => (i === j ? unit : undefined)),
      ),
    );
  }
  const random = uniformNumbers(11);
  const signs = kept.map((values) => values.map(() => (random() < 0.5 ? -1 : 1)));
  all.push(await compare('all', signs));
  return all;
}

function length(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
