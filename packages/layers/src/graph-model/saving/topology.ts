import type * as tf from '@tensorflow/tfjs-core';
import {copyTopology, joinWeights, type StoredWeight, splitWeights} from '../../core/io/weight-bytes.js';
import type {Constant} from '../constants.js';

/** A node as the file has it. */
export interface NodeDef {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, unknown>;
}

interface Topology {
  node: NodeDef[];
}

const FLOAT = {type: 'DT_FLOAT'};

/** A copy of the file that a model was loaded from, to be changed node by node. Weights that nobody touches stay as they are stored. */
export class EditableGraph {
  private readonly topology: Topology;
  private readonly byName: Map<string, NodeDef>;
  private readonly weights: Map<string, StoredWeight>;

  constructor(private readonly source: tf.io.ModelArtifacts) {
    this.topology = copyTopology<Topology>(source.modelTopology!);
    this.byName = new Map(this.topology.node.map((node) => [node.name, node]));
    this.weights = new Map(splitWeights(source).map((weight) => [weight.spec.name, weight]));
  }

  node(name: string): NodeDef {
    return this.byName.get(name)!;
  }

  /** Gives a node another definition, under the same name. */
  replace(name: string, definition: Omit<NodeDef, 'name'>): void {
    const node = this.node(name);
    for (const key of Object.keys(node)) delete node[key as keyof NodeDef];
    Object.assign(node, {name, ...definition});
  }

  /** Gives a constant other values, as one node takes it; other nodes that take it go on with the old ones. */
  setConstant({name, shape, user}: Constant, values: Float32Array): void {
    const users = this.topology.node.filter(({input}) => input?.some((each) => nodeOf(each) === name)).length;
    const direct = nodeOf(this.node(user.node.name).input![user.input]!) === name;
    if (users === 1 && direct) this.store(name, shape, values);
    else this.node(user.node.name).input![user.input] = this.addConstant(`${name}/merged`, shape, values);
  }

  /** Adds a constant and gives its name, which begins as asked for. */
  addConstant(wanted: string, shape: number[], values: Float32Array): string {
    const name = this.freeName(wanted);
    const tensorShape = {dim: shape.map((size) => ({size: String(size)}))};
    this.add({
      name,
      op: 'Const',
      attr: {dtype: FLOAT, value: {tensor: {dtype: 'DT_FLOAT', tensorShape}}},
    });
    this.store(name, shape, values);
    return name;
  }

  /** Multiplies what a node gives by a vector, for all that take it and under the same name. */
  scaleOutput(name: string, shape: number[], vector: Float32Array): void {
    const {name: _, ...definition} = copyTopology<NodeDef>(this.node(name));
    const unscaled = this.freeName(`${name}/unscaled`);
    const factor = this.addConstant(`${name}/scale`, shape, vector);
    this.replace(name, {op: 'Mul', input: [unscaled, factor], attr: {T: FLOAT}});
    this.add({name: unscaled, ...definition});
  }

  artifacts(): tf.io.ModelArtifacts {
    const {weightData: _, weightSpecs: __, getWeightStream: ___, ...rest} = this.source;
    return {...rest, modelTopology: this.topology, ...joinWeights([...this.weights.values()])};
  }

  private add(node: NodeDef): void {
    this.topology.node.push(node);
    this.byName.set(node.name, node);
  }

  /** In full precision, however the weight was stored: rounding it again would lose what is small. */
  private store(name: string, shape: number[], values: Float32Array): void {
    const bytes = new Uint8Array(values.slice().buffer);
    this.weights.set(name, {spec: {name, shape, dtype: 'float32'}, bytes});
  }

  private freeName(wanted: string): string {
    let name = wanted;
    for (let copy = 2; this.byName.has(name); copy++) name = `${wanted}_${copy}`;
    return name;
  }
}

/** The node that an input names, without the number of its output and the mark of a control input. */
function nodeOf(input: string): string {
  return input.replace(/^\^/, '').split(':')[0]!;
}
