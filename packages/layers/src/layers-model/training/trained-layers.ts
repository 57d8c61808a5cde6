import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {FileVariables} from '../../core/lifecycle/adapted-model.js';
import {layerVariables} from '../../core/lifecycle/weights.js';
import {inside, internals, type Layer, type VariableInternals} from '../../core/tfjs/internals.js';
import {type LocatedLayer, partsAt} from '../../core/tfjs/model-map.js';

type Variable = tfl.LayerVariable;

/** A layer that some adapters train in full. */
interface Trained {
  at: LocatedLayer;
  /** The base's own variables, which nothing changes meanwhile. */
  base: Map<Variable, tf.Variable>;
  /** Each adapter's copy of them. */
  copies: Map<string, Map<Variable, tf.Variable>>;
}

/**
 * Layers that adapters train in full beside their own weights. Trained values belong to an adapter, so each
 * adapter has a copy, made from the base's values, that is in the layer while that adapter is active. The
 * variable behind each of the layer's weights is exchanged: no values are copied, and an optimizer's moments
 * stay with their variable.
 */
export class TrainedLayers {
  private readonly layers = new Map<Layer, Trained>();
  private inside: string | null = null;

  /** All layers that some adapter trains. */
  get all(): LocatedLayer[] {
    return [...this.layers.values()].map(({at}) => at);
  }

  has(layer: Layer): boolean {
    return this.layers.has(layer);
  }

  /** Gives an adapter copies of layers' values, without putting them in. */
  add(adapter: string, places: readonly LocatedLayer[]): void {
    for (const at of places) {
      const trained = this.layers.get(at.layer) ?? {at, base: variablesOf(at), copies: new Map()};
      const copies = [...trained.base].map(([variable, base]): [Variable, tf.Variable] => [
        variable,
        copyOf(base, adapter),
      ]);
      trained.copies.set(adapter, new Map(copies));
      this.layers.set(at.layer, trained);
    }
  }

  /**
   * Layers that are trained now have come into the model: their values are the adapter's, and the
   * base's are those of this moment.
   */
  adopt(adapter: string, places: readonly LocatedLayer[]): void {
    for (const at of places) {
      const own = variablesOf(at);
      const base = [...own].map(([variable, value]): [Variable, tf.Variable] => [
        variable,
        copyOf(value, 'base'),
      ]);
      this.layers.set(at.layer, {at, base: new Map(base), copies: new Map([[adapter, own]])});
    }
  }

  /** Takes an adapter's copies out, if they are in, and disposes them. */
  remove(adapter: string): void {
    if (this.inside === adapter) this.activate(null);
    for (const [layer, {copies}] of this.layers) {
      for (const copy of copies.get(adapter)?.values() ?? []) copy.dispose();
      copies.delete(adapter);
      if (copies.size === 0) this.layers.delete(layer);
    }
  }

  /** Puts an adapter's copies into its layers, and the base's values into all others. */
  activate(adapter: string | null): void {
    for (const {base, copies} of this.layers.values()) {
      const values = (adapter === null ? undefined : copies.get(adapter)) ?? base;
      for (const [variable, value] of values) exchange(variable, value);
    }
    this.inside = adapter;
  }

  /** The layers that an adapter trains. */
  of(adapter: string | null): LocatedLayer[] {
    if (adapter === null) return [];
    return [...this.layers.values()].filter(({copies}) => copies.has(adapter)).map(({at}) => at);
  }

  /** The weights that an adapter trains, each with its copy. */
  valuesOf(adapter: string): [Variable, tf.Variable][] {
    return [...this.layers.values()].flatMap(({copies}) => [...(copies.get(adapter) ?? [])]);
  }

  /** An adapter's copies at those of its layers that the model has, by the names that files give them. */
  variablesOf(adapter: string, layers: readonly LocatedLayer[]): FileVariables[] {
    const own = layers.filter(({layer}) => this.layers.get(layer)?.copies.has(adapter));
    return own.map((at) => {
      const {file, variables} = layerVariables(at);
      const copies = this.layers.get(at.layer)!.copies.get(adapter)!;
      const values = [...variables].map(([name, variable]) => {
        const copy = copies.get(variable as Variable)!;
        const read = () => copy;
        return [name, {shape: copy.shape, read, write: (value: tf.Tensor) => copy.assign(value)}] as const;
      });
      return {file, variables: new Map(values)};
    });
  }

  /** The base's value of a weight, whichever adapter's is in the layer. */
  baseOf(variable: Variable): tf.Tensor {
    for (const {base} of this.layers.values()) {
      const own = base.get(variable);
      if (own !== undefined) return own;
    }
    return variable.read();
  }
}

function variablesOf(at: LocatedLayer): Map<Variable, tf.Variable> {
  const variables = partsAt(at).flatMap((part) => {
    const {_trainableWeights, _nonTrainableWeights} = internals(part);
    return [..._trainableWeights, ..._nonTrainableWeights];
  });
  return new Map(variables.map((variable) => [variable, variable.read() as tf.Variable]));
}

function copyOf(variable: tf.Variable, adapter: string): tf.Variable {
  return tf.tidy(() => tf.variable(tf.clone(variable), false, `${variable.name}@${adapter}`, variable.dtype));
}

/**
 * Of the variables of one weight, only the one in the layer may be trainable: an optimizer without a list of
 * variables trains all that are.
 */
function exchange(variable: Variable, value: tf.Variable): void {
  const fields = inside<VariableInternals>(variable);
  if (fields.val === value) return;
  fields.val.trainable = false;
  fields.val = value;
  value.trainable = variable.trainable;
}
