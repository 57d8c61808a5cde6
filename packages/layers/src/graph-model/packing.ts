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
  /**
   * How the packed matrix lies in the constant: as all of them take it or, where some take it transposed and
   * others not, as it is. Products read codes both ways, and lookups only along the rows.
   */
  place: MatrixPlace;
}

/**
 * Who reads the weight of a node, or why it cannot be packed: all that read it must be products or lookups.
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
      if (other?.site?.weight.name !== name || other.site.place === undefined)
        return `its weight is also read by '${reader.name}', which is no plain product or lookup`;
      sites.push(other);
    }
    return undefined;
  };
  const refusal = visit(executor.graph.nodes[name]!);
  if (refusal !== undefined) return refusal;
  const transposed = sites.every((other) => other.site!.place!.transposed);
  return {sites, passing, place: {shape: site.place.shape, transposed}};
}

/** A node that multiplies its input by the packed matrix as it lies: `at` itself, if it does. */
export function multiplierOf({sites, place}: PackedReaders, at: LocatedNode): LocatedNode | undefined {
  const multiplies = ({site}: LocatedNode): boolean =>
    site!.operation.base === undefined && (site!.place!.transposed ?? false) === place.transposed;
  return [at, ...sites].find(multiplies);
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
    private readonly readers: PackedReaders,
    private readonly changed: () => void,
    readonly watch?: PackableMatrix['watch'],
  ) {
    const {shape, transposed} = readers.place;
    const [rows, columns] = shape.slice(-2) as [number, number];
    this.shape = transposed ? [columns, rows] : [rows, columns];
    this.sharedWith = readers.sites.map(({path}) => path).filter((path) => path !== at.path);
  }

  get weight(): string {
    return this.at.site!.weight.name;
  }

  get place(): MatrixPlace {
    return this.readers.place;
  }

  get packed(): PackedMatrix | undefined {
    return packedOf(this.at.site!.weight.read());
  }

  async read(): Promise<Float32Array> {
    const {place} = this.readers;
    const value = this.at.site!.weight.read();
    const matrix = tf.tidy(() => {
      const flat = tf.reshape(value, place.shape.slice(-2) as [number, number]);
      return tf.keep(place.transposed ? tf.transpose(flat) : tf.clone(flat));
    });
    const values = (await matrix.data<'float32'>()) as Float32Array;
    matrix.dispose();
    return values;
  }

  pack(packed: PackedMatrix): void {
    // A model that was loaded has its codes in their place already.
    if (this.packed === packed) this.changed();
    else this.exchange(new PackedVariable(packed, this.readers.place, this.weight));
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
