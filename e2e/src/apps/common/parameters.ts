/** A trained variable as it starts. */
export interface ParameterStart {
  name: string;
  shape: number[];
  values: Float32Array;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-7;

/** Everything of a parameter that training changes. */
export interface ParameterState {
  values: Float32Array;
  first: Float32Array;
  second: Float32Array;
  /** Updates so far: a head gets none in steps without its task. */
  updates: number;
}

interface Parameter extends ParameterState {
  name: string;
  shape: number[];
  /** Learning rate relative to the schedule's. */
  rate: number;
}

/**
 * Trained values with Adam (Kingma and Ba 2015, epsilon 1e-7 as in tfjs) on clipped gradients, in plain
 * arrays: hundreds of small tensors would cost more in kernel calls than in arithmetic, and both a checkpoint
 * and other threads need arrays anyway.
 */
export class Parameters {
  private readonly parameters: Parameter[];

  /** @param rateOf learning rate of a parameter, by name, relative to that of a step. */
  constructor(starts: ParameterStart[], rateOf: (name: string) => number) {
    this.parameters = starts.map(({name, shape, values}) => ({
      name,
      shape,
      rate: rateOf(name),
      values: values.slice(),
      first: new Float32Array(values.length),
      second: new Float32Array(values.length),
      updates: 0,
    }));
  }

  /** The values as they are, in order; not copies. */
  get values(): Float32Array[] {
    return this.parameters.map(({values}) => values);
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
    return new Map(this.parameters.map(({name, shape}) => [name, shape]));
  }

  /** Takes values back from a {@link snapshot}; moments stay. */
  restore(snapshot: ReadonlyMap<string, Float32Array>): void {
    for (const {name, values} of this.parameters) values.set(snapshot.get(name)!);
  }

  /** Takes everything back from {@link states}. */
  restoreStates(states: ReadonlyMap<string, ParameterState>): void {
    for (const parameter of this.parameters) {
      const {values, first, second, updates} = states.get(parameter.name)!;
      parameter.values.set(values);
      parameter.first.set(first);
      parameter.second.set(second);
      parameter.updates = updates;
    }
  }

  /**
   * One update; none if the gradient is not finite, which would spoil every moment for good.
   *
   * @param gradients in the order of the parameters; those without one stay as they are.
   * @param rate the schedule's learning rate of this step.
   * @param clip the largest Euclidean norm over all gradients.
   * @returns whether the gradient was finite.
   */
  update(gradients: (Float32Array | undefined)[], rate: number, clip: number): boolean {
    let squares = 0;
    for (const gradient of gradients) for (const value of gradient ?? []) squares += value * value;
    const norm = Math.sqrt(squares);
    if (!Number.isFinite(norm)) return false;
    const scale = norm > clip ? clip / norm : 1;
    this.parameters.forEach((parameter, i) => {
      const gradient = gradients[i];
      if (gradient !== undefined) adam(parameter, gradient, scale, rate * parameter.rate);
    });
    return true;
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
