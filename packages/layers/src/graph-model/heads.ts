import * as tf from '@tensorflow/tfjs-core';
import {LayerVariable} from '@tensorflow/tfjs-layers';
import {WeightMismatchError} from '@tfjs-peft/kernels';
import {type FileLayer, sameShape} from '../core/io/adapter-file.js';
import type {FileVariables} from '../core/lifecycle/adapted-model.js';
import {isGone, leafName} from '../core/lifecycle/weights.js';

/** The weights of one head for one adapter. */
interface Head {
  variables: LayerVariable[];
  /** Whether they are copies of our own that belong to no layer. */
  kept: boolean;
}

/**
 * The heads that trainers put behind a GraphModel. They belong to the adapter with which they were trained:
 * each adapter has its own values for them. While a layer holds those of one adapter, those of the others are
 * kept here.
 */
export class Heads {
  private readonly byAdapter = new Map<string, Map<string, Head>>();

  /**
   * Makes a layer's variables those of an adapter's head. They get the values that the adapter has for it, if
   * these fit.
   *
   * @param name What the head is called.
   * @throws WeightMismatchError if they have other shapes, and no layer has them.
   */
  attach(adapter: string, name: string, variables: LayerVariable[]): void {
    const heads = this.byAdapter.get(adapter) ?? new Map<string, Head>();
    const known = heads.get(name);
    if (known !== undefined && known.variables[0] === variables[0]) return;
    const fits = known !== undefined && sameShapes(known.variables, variables);
    // Values in another layer are not lost, so a head of another size may follow.
    if (known?.kept && !fits) throw mismatch(adapter, name, known.variables, variables);
    const values = fits && !isDisposed(known) ? known : undefined;
    this.release(variables);
    for (const [i, variable] of (values?.variables ?? []).entries()) variables[i]!.write(variable.read());
    if (known !== undefined) disposeKept(known);
    heads.set(name, {variables, kept: false});
    this.byAdapter.set(adapter, heads);
  }

  /** Makes room for the weights of heads that a file has. */
  expect(adapter: string, layers: readonly FileLayer[]): void {
    const heads = this.byAdapter.get(adapter) ?? new Map<string, Head>();
    for (const {name, weights} of layers) {
      if (heads.has(name) && !isDisposed(heads.get(name)!)) continue;
      const variables = weights.map(({name, shape}) => {
        const zeros = tf.zeros(shape);
        const variable = new LayerVariable(zeros, 'float32', name);
        zeros.dispose();
        return variable;
      });
      heads.set(name, {variables, kept: true});
    }
    if (heads.size > 0) this.byAdapter.set(adapter, heads);
  }

  /** An adapter's heads, as files describe them. */
  variablesOf(adapter: string): FileVariables[] {
    return [...(this.byAdapter.get(adapter) ?? [])].map(([name, head]) => {
      const names = weightNames(head.variables);
      return {
        file: {
          name,
          weights: head.variables.map(({shape}, i) => ({name: names[i]!, shape: [...shape] as number[]})),
        },
        variables: new Map(head.variables.map((variable, i) => [names[i]!, variable])),
      };
    });
  }

  /** Forgets the heads of an adapter. Layers stay as they are. */
  remove(adapter: string): void {
    for (const head of this.byAdapter.get(adapter)?.values() ?? []) disposeKept(head);
    this.byAdapter.delete(adapter);
  }

  /** Releases a layer whose variables held an adapter's values, of which a copy is kept. */
  private release(variables: readonly LayerVariable[]): void {
    for (const heads of this.byAdapter.values()) {
      for (const [name, head] of heads) {
        if (head.variables[0] !== variables[0]) continue;
        const copies = head.variables.map(
          (variable) => new LayerVariable(variable.read(), 'float32', leafName(variable)),
        );
        heads.set(name, {variables: copies, kept: true});
      }
    }
  }
}

/** Names of weights within a head, which are the same for the same layers wherever they are built. */
function weightNames(variables: readonly LayerVariable[]): string[] {
  const leaves = variables.map(leafName);
  const alone = new Set(leaves).size === leaves.length;
  return alone ? leaves : leaves.map((leaf, i) => `${i}.${leaf}`);
}

function sameShapes(own: readonly LayerVariable[], layer: readonly LayerVariable[]): boolean {
  return own.length === layer.length && own.every(({shape}, i) => sameShape(shape, layer[i]!.shape));
}

function mismatch(
  adapter: string,
  name: string,
  own: readonly LayerVariable[],
  layer: readonly LayerVariable[],
): WeightMismatchError {
  const list = (variables: readonly LayerVariable[]) =>
    variables.map(({shape}) => `[${shape}]`).join(', ') || 'none';
  return new WeightMismatchError(
    `Adapter '${adapter}' has weights ${list(own)} for '${name}', but the layer has ` +
      `${list(layer)}. Pass the trainer a head with the shapes of the trained one, or give the ` +
      "head another name: tf.layers.dense({…, name: 'other'}).",
  );
}

function isDisposed({variables}: Head): boolean {
  return variables.some(isGone);
}

function disposeKept({variables, kept}: Head): void {
  if (kept) for (const variable of variables) variable.dispose();
}
