import * as tf from '@tensorflow/tfjs-core';
import type {PackedMatrix} from '@tfjs-peft/kernels';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import {withArticle} from '../core/messages.js';
import {isPackedVariable, type MatrixPlace, PackedVariable, packedOf} from '../core/tfjs/packed-variable.js';
import {isPassing} from './constants.js';
import type {Executor, GraphNode} from './internals.js';
import type {LocatedNode} from './nodes.js';

/** Nodes that read one constant, each of which can take it packed. */
export interface PackedReaders {
  sites: readonly LocatedNode[];
  /** Nodes between the constant and these, which only pass it on. */
  passing: readonly GraphNode[];
}

/**
 * Who reads the weight of a node, or why it cannot be packed: all that read it must be able to take it so.
 *
 * @param all Every node that can be a site.
 */
export function readersOf(
  executor: Executor,
  at: LocatedNode,
  all: readonly LocatedNode[],
): PackedReaders | string {
  const {site, node} = at;
  if (site?.place === undefined)
    return `${withArticle(node.op)} is no plain product with a constant or lookup`;
  const {name} = site.weight;
  if (executor.graph.outputs.some((output) => output.name === name))
    return 'its weight is an output of the model';
  const sites: LocatedNode[] = [];
  const passing: GraphNode[] = [];
  const visit = (source: GraphNode): string | undefined => {
    for (const reader of new Set(source.children)) {
      if (isPassing(reader) && !executor.graph.outputs.includes(reader)) {
        passing.push(reader);
        const refusal = visit(reader);
        if (refusal !== undefined) return refusal;
        continue;
      }
      const other = all.find((candidate) => candidate.node === reader);
      if (other?.site?.weight.name !== name || !samePlace(other.site.place, site.place!))
        return `its weight is also read by '${reader.name}', which takes it in another way`;
      sites.push(other);
    }
    return undefined;
  };
  return visit(executor.graph.nodes[name]!) ?? {sites, passing};
}

function samePlace(left: MatrixPlace | undefined, right: MatrixPlace): boolean {
  return left !== undefined && (left.transposed ?? false) === (right.transposed ?? false);
}

/** The weight of a node, in the executor of its graph. */
export class NodeMatrix implements PackableMatrix {
  readonly shape: readonly [number, number];
  readonly sharedWith: readonly string[];

  /**
   * @param changed Called when the weight has become packed, or plain again.
   * @param watched See {@link PackableMatrix.watch}.
   */
  constructor(
    private readonly executor: Executor,
    private readonly at: LocatedNode,
    readers: PackedReaders,
    private readonly changed: () => void,
    readonly watch?: PackableMatrix['watch'],
  ) {
    const {inputDim, outputDim} = at.site!.operation.dims;
    this.shape = [inputDim, outputDim];
    this.sharedWith = readers.sites.map(({path}) => path).filter((path) => path !== at.path);
  }

  get weight(): string {
    return this.at.site!.weight.name;
  }

  get packed(): PackedMatrix | undefined {
    return packedOf(this.at.site!.weight.read());
  }

  async read(): Promise<Float32Array> {
    const {place, weight} = this.at.site!;
    const value = weight.read();
    const matrix = tf.tidy(() => {
      const flat = tf.reshape(value, place!.shape.slice(-2) as [number, number]);
      return tf.keep(place!.transposed ? tf.transpose(flat) : tf.clone(flat));
    });
    const values = (await matrix.data<'float32'>()) as Float32Array;
    matrix.dispose();
    return values;
  }

  pack(packed: PackedMatrix): void {
    this.exchange(new PackedVariable(packed, this.at.site!.place!, this.weight));
  }

  unpack(): void {
    const value = this.at.site!.weight.read();
    if (isPackedVariable(value)) this.exchange(tf.keep(value.unpack()));
  }

  private exchange(value: tf.Tensor): void {
    const {executor, weight} = this;
    const before = executor.weightMap[weight]![0]!;
    // Its setter notes which tensors the executor must not dispose.
    executor.weightMap = {...executor.weightMap, [weight]: [value]};
    before.dispose();
    this.changed();
  }
}
