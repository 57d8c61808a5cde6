import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {DuplicateNameError, shared} from '@tfjs-peft/kernels';
import {type AddWeight, type Init, uniformNumbers} from '@tfjs-peft/routers';
import type {Adapter, SiteDims} from '../adapters/adapter.js';
import {bounded} from '../adapters/count.js';
import {deriveSeed, initialValues} from '../random.js';
import type {FrozenBase} from './operation.js';
import {type SharedPart, type SharedShape, takeShared} from './shared-weights.js';

const ofAdapters = shared('layers.adapter-weights', () => new WeakSet<tfl.LayerVariable>());

/** Whether a weight is an adapter's, whichever copy of this package made it. */
export function isAdapterWeight(variable: tfl.LayerVariable): boolean {
  return ofAdapters.has(variable);
}

/** Where a layer's variables are named: `prefix` is what all of them start with. */
export interface VariableScope {
  prefix: string;
  /**
   * Whether tfjs-layers is inside the layer's own name scope, so that it puts the
   * prefix before new names by itself.
   */
  entered: boolean;
}

/** One named adapter of a layer, and the variables that it has there. */
export class AdapterSlot {
  /** By the name that the adapter gives each; in the order of declaration. Empty until `build`. */
  readonly weights = new Map<string, tfl.LayerVariable>();
  /** What it has in common with the adapter's other sites, by name. Empty until `build`. */
  readonly parts = new Map<string, SharedPart>();
  /** This site's part of each of those that files have, as a variable, so that `model.save` has it too. */
  readonly stored = new Map<string, tfl.LayerVariable>();
  private readonly fixed = new Set<tfl.LayerVariable>();
  /**
   * Uniform numbers of a shape, the same ones in the same order for the same seed; undefined without a seed.
   */
  readonly noise?: (shape: number[]) => tf.Tensor;

  constructor(
    readonly name: string,
    readonly adapter: Adapter,
    private readonly seed: number | undefined,
    private readonly given: readonly SharedShape[] = [],
  ) {
    if (seed === undefined) return;
    const next = uniformNumbers(deriveSeed(seed, 'noise'));
    this.noise = (shape) => tf.tensor(Float32Array.from({length: tf.util.sizeFromShape(shape)}, next), shape);
  }

  /** Makes the variables, with their initial values; leaves none behind if the adapter throws. */
  build(dims: SiteDims, scope: VariableScope, base: FrozenBase): void {
    try {
      const declare: AddWeight = (weight, shape, init, trainable = true) => {
        if (this.weights.has(weight) || this.parts.has(weight)) {
          throw new DuplicateNameError(
            `Adapter '${this.name}' declares weight '${weight}' twice. Rename one.`,
          );
        }
        if (typeof trainable === 'string') {
          const whole = this.given.find(({name}) => name === weight)?.shape;
          const part = takeShared(weight, shape, init, whole);
          this.parts.set(weight, part);
          if (trainable === 'shared') return part;
          // A variable of a tensor has the tensor's memory, until it is written.
          const variable = this.variable(weight, scope, part.read());
          this.stored.set(weight, variable);
          return variable;
        }
        const value = initialTensor(init, shape, base, this.seedOf(weight));
        const variable = this.variable(weight, scope, value);
        value.dispose();
        this.weights.set(weight, variable);
        if (!trainable) this.fixed.add(variable);
        return variable;
      };
      this.adapter.build(dims, bounded(this.adapter.type, dims, declare));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** The variables that training changes while this adapter is active. */
  get trainable(): tfl.LayerVariable[] {
    return [...this.weights.values()].filter((variable) => !this.fixed.has(variable));
  }

  /** Shapes of the whole weights that the adapter's sites have in common. */
  get shared(): SharedShape[] {
    if (this.parts.size === 0) return [...this.given];
    return [...this.parts].map(([name, {whole}]) => ({
      name,
      shape: whole,
      ...(this.stored.has(name) && {saved: true as const}),
    }));
  }

  /** Gives a weight that the adapter's sites have in common, and that files have, other values. */
  useShared(name: string, values: Float32Array): void {
    const part = this.parts.get(name)!;
    part.use(values);
    this.stored.get(name)!.write(part.read());
  }

  dispose(): void {
    for (const variable of this.weights.values()) variable.dispose();
    this.weights.clear();
    for (const variable of this.stored.values()) variable.dispose();
    this.stored.clear();
    for (const part of this.parts.values()) part.release();
    this.parts.clear();
  }

  private variable(weight: string, scope: VariableScope, value: tf.Tensor): tfl.LayerVariable {
    const variable = createVariable(`${escapeName(this.name)}/${weight}`, scope, value);
    ofAdapters.add(variable);
    return variable;
  }

  private seedOf(weight: string): number {
    return this.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : deriveSeed(this.seed, weight);
  }
}

function initialTensor(init: Init, shape: number[], {kernel, bias}: FrozenBase, seed: number): tf.Tensor {
  switch (init.type) {
    case 'identity':
      return tf.eye(shape[0]!);
    case 'columnNorms':
      return tf.tidy(() => tf.sqrt(tf.sum(tf.square(kernel), 0)));
    case 'columns':
      return tf.slice(kernel, [0, 0], [kernel.shape[0], init.count]);
    case 'bias':
      return bias === undefined ? tf.zeros(shape) : tf.clone(bias);
    default:
      return tf.tensor(initialValues(init, shape, seed), shape, 'float32');
  }
}

function createVariable(name: string, {prefix, entered}: VariableScope, value: tf.Tensor): tfl.LayerVariable {
  const variable = new tfl.LayerVariable(value, 'float32', entered ? name : prefix + name);
  // Files are matched by originalName, so it may not depend on whether the adapter came
  // before or after the layer was built.
  (variable as {originalName: string}).originalName = prefix + name;
  return variable;
}

/**
 * tfjs-layers takes only letters, digits and `-._/` in a weight's name, and the first must be a letter or
 * digit. Everything else, and the dot that marks it, becomes its code point between dots, so that different
 * adapter names stay different.
 */
export function escapeName(name: string): string {
  const escaped = Array.from(name, (c) =>
    /[A-Za-z0-9_-]/.test(c) ? c : `.${c.codePointAt(0)!.toString(16)}.`,
  ).join('');
  // No name escapes to this beginning by itself: there, a dot after x is followed by digits and another dot.
  return /^[A-Za-z0-9]/.test(escaped) ? escaped : `x.${escaped}`;
}
