import * as tf from '@tensorflow/tfjs-core';

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-7;

interface Parameter {
  name: string;
  variable: tf.Variable;
  /** Learning rate relative to the schedule's. */
  rate: number;
  values: Float32Array<ArrayBufferLike>;
  first: Float32Array<ArrayBufferLike>;
  second: Float32Array<ArrayBufferLike>;
  /** Updates so far: a head gets none in steps without its task. */
  updates: number;
}

/** Everything of a parameter that training changes. */
export interface ParameterState {
  values: Float32Array;
  first: Float32Array;
  second: Float32Array;
  updates: number;
}

/**
 * Trainable variables with Adam (Kingma and Ba 2015, epsilon 1e-7 as in tfjs) on clipped gradients. Moments are kept in plain
 * arrays: hundreds of small tensors would cost more in kernel calls than in arithmetic, and a checkpoint needs them anyway.
 */
export class Parameters {
  private readonly parameters: Parameter[] = [];

  /** Puts a variable under training; `rate` multiplies the learning rate of a step. */
  async add(name: string, variable: tf.Variable, rate: number): Promise<void> {
    const values = Float32Array.from(await variable.data());
    this.parameters.push({
      name,
      variable,
      rate,
      values,
      first: new Float32Array(values.length),
      second: new Float32Array(values.length),
      updates: 0,
    });
  }

  get variables(): tf.Variable[] {
    return this.parameters.map(({variable}) => variable);
  }

  /** Copies of all values, by name. */
  snapshot(): Map<string, Float32Array> {
    return new Map(this.parameters.map(({name, values}) => [name, values.slice()]));
  }

  /** Copies of all values and moments, by name. */
  states(): Map<string, ParameterState> {
    return new Map(
      this.parameters.map(({name, values, first, second, updates}) => [
        name,
        {values: values.slice(), first: first.slice(), second: second.slice(), updates},
      ]),
    );
  }

  shapes(): Map<string, number[]> {
    return new Map(this.parameters.map(({name, variable}) => [name, variable.shape]));
  }

  /** Takes values back from a {@link snapshot}; moments stay. */
  restore(snapshot: ReadonlyMap<string, Float32Array>): void {
    for (const parameter of this.parameters) {
      parameter.values.set(snapshot.get(parameter.name)!);
      this.assign(parameter);
    }
  }

  /** Takes everything back from {@link states}. */
  restoreStates(states: ReadonlyMap<string, ParameterState>): void {
    for (const parameter of this.parameters) {
      const state = states.get(parameter.name)!;
      parameter.values.set(state.values);
      parameter.first.set(state.first);
      parameter.second.set(state.second);
      parameter.updates = state.updates;
      this.assign(parameter);
    }
  }

  /**
   * One update. Parameters without a gradient stay as they are.
   *
   * @param gradients by the variable's own name.
   * @param rate the schedule's learning rate of this step.
   * @param clip the largest Euclidean norm over all gradients.
   */
  async update(gradients: Record<string, tf.Tensor>, rate: number, clip: number): Promise<void> {
    const present = this.parameters.filter(({variable}) => gradients[variable.name] !== undefined);
    const arrays = await Promise.all(present.map(({variable}) => gradients[variable.name]!.data()));
    let squares = 0;
    for (const array of arrays) for (const value of array) squares += value * value;
    const norm = Math.sqrt(squares);
    // A step whose gradient is not finite would spoil every moment for good.
    if (!Number.isFinite(norm)) return;
    const scale = norm > clip ? clip / norm : 1;
    present.forEach((parameter, i) => {
      adam(parameter, arrays[i] as Float32Array, scale, rate * parameter.rate);
      this.assign(parameter);
    });
  }

  private assign({variable, values}: Parameter): void {
    const tensor = tf.tensor(values.slice(), variable.shape, 'float32');
    variable.assign(tensor);
    tensor.dispose();
  }
}

function adam(parameter: Parameter, gradient: Float32Array, scale: number, rate: number): void {
  const {values, first, second} = parameter;
  parameter.updates++;
  const correction1 = 1 - BETA1 ** parameter.updates;
  const correction2 = 1 - BETA2 ** parameter.updates;
  for (let i = 0; i < values.length; i++) {
    const g = scale * gradient[i]!;
    const m = BETA1 * first[i]! + (1 - BETA1) * g;
    const v = BETA2 * second[i]! + (1 - BETA2) * g * g;
    first[i] = m;
    second[i] = v;
    values[i] = values[i]! - (rate * (m / correction1)) / (Math.sqrt(v / correction2) + EPSILON);
  }
}
