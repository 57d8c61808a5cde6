import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {uniformNumbers} from '@tfjs-peft/routers';
import {executorOf} from '../../internals.js';
import {type GradientRow, graphOf, NODE} from './row.js';

/** The second is for ops with kinks, within which the first may reach; rounding tells more there. */
const STEPS = [
  {step: 1 / 256, tolerance: 5e-3},
  {step: 1 / 4096, tolerance: 2e-2},
];
/** A wrong gradient is wrong along nearly all of them. */
const DIRECTIONS = 4;

/**
 * The result for a gradient: it agrees with central differences, or does not; or tfjs throws; or the values
 * cannot be computed.
 */
export type Measured = 'right' | 'wrong' | 'throws' | 'no forward';

/** A row's model, whose trained inputs are variables. */
export class RowModel {
  private constructor(
    readonly row: GradientRow,
    readonly model: GraphModel,
    readonly variables: tf.Variable[],
  ) {}

  static async load(row: GradientRow): Promise<RowModel> {
    const model = await graphOf(row).load();
    const {weightMap} = executorOf(model);
    const variables: tf.Variable[] = [];
    row.inputs.forEach(({kind, shape, values}, i) => {
      if (kind !== 'trained') return;
      const [old] = weightMap[`input${i}`]!;
      const variable = tf.variable(tf.tensor(values, shape, 'float32'));
      weightMap[`input${i}`] = [variable];
      old!.dispose();
      variables.push(variable);
    });
    return new RowModel(row, model, variables);
  }

  /** Whether the backend can run the node forwards. */
  runs(): boolean {
    return tf.tidy(() => {
      try {
        this.execute().dataSync();
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Compares the gradient of all trained inputs with central differences. */
  measure(run: () => tf.Tensor = this.execute): Measured {
    return tf.tidy(() => {
      let first: tf.Tensor;
      try {
        first = run();
        first.dataSync();
      } catch {
        return 'no forward';
      }
      const random = uniformNumbers(7);
      const direction = Float32Array.from({length: first.size}, () => 2 * random() - 1);
      const loss = (): tf.Scalar =>
        tf.sum(tf.mul(tf.reshape(tf.cast(run(), 'float32'), [-1]), tf.tensor1d(direction)));
      try {
        const {grads} = tf.variableGrads(loss, this.variables);
        return this.variables.every((variable) => this.agrees(variable, grads[variable.name]!, loss))
          ? 'right'
          : 'wrong';
      } catch {
        return 'throws';
      }
    });
  }

  /** Runs the node as the model does. */
  readonly execute = (): tf.Tensor => {
    const {output} = this.row;
    return this.model.execute({}, output === 0 ? NODE : `${NODE}:${output}`) as tf.Tensor;
  };

  dispose(): void {
    this.model.dispose();
  }

  /** Compares a gradient with central differences along some directions. */
  private agrees(variable: tf.Variable, gradient: tf.Tensor, loss: () => tf.Scalar): boolean {
    if (!tf.util.arraysEqual(gradient.shape, variable.shape)) return false;
    const values = variable.dataSync().slice();
    const slopes = gradient.dataSync();
    const norm = Math.hypot(...slopes);
    const random = uniformNumbers(11);
    const at = (direction: number[], by: number): number => {
      const moved = Float32Array.from(values, (value, i) => value + by * direction[i]!);
      tf.tidy(() => variable.assign(tf.tensor(moved, variable.shape)));
      return tf.tidy(() => loss().dataSync()[0]!);
    };
    const agree = Array.from({length: DIRECTIONS}, () => {
      const direction = Array.from(values, () => (random() < 0.5 ? -1 : 1));
      const slope = direction.reduce((sum, way, i) => sum + way * slopes[i]!, 0);
      return STEPS.some(({step, tolerance}) => {
        const want = (at(direction, step) - at(direction, -step)) / (2 * step);
        return Math.abs(slope - want) <= tolerance * Math.max(1, norm);
      });
    });
    tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
    return agree.every(Boolean);
  }
}
