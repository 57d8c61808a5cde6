import type * as tf from '@tensorflow/tfjs-core';
import {needed} from './text-encoding.js';
import {copyTopology, joinWeights, type StoredWeight, splitWeights} from './weight-bytes.js';

/** An attribute of a node, as the converter writes it. Its strings are base64, or bytes in some old files. */
export interface AttrValue {
  b?: boolean;
  f?: number;
  i?: number | string;
  s?: string | number[];
  type?: string | number;
  list?: {s?: (string | number[])[]; i?: (number | string)[]};
  [key: string]: unknown;
}

/** A node as the file of a GraphModel has it. */
export interface NodeDef {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, AttrValue>;
  device?: string;
}

/** The topology of a GraphModel's file. */
export interface GraphDef {
  node: NodeDef[];
  versions?: {producer?: number};
  library?: {function?: {signature?: {name?: string}; nodeDef?: NodeDef[]}[]};
}

/**
 * The node that an input names: `node`, `node:1` or `node:output:1`, and `^node` where it is a control input.
 */
export function nodeOf(input: string): string {
  return input.replace(/^\^/, '').split(':')[0]!;
}

/** Which output of its node an input is. */
export function outputIndexOf(input: string): number {
  const parts = input.split(':');
  return parts.length === 1 ? 0 : Number(parts.at(-1));
}

/** The inputs that carry data: control inputs say no more than an order. */
export function dataInputs({input = []}: NodeDef): string[] {
  return input.filter((name) => !name.startsWith('^'));
}

export function decodeString(value: string | number[] | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? needed('atob')(value) : String.fromCharCode(...value);
}

export function encodeString(text: string): string {
  return needed('btoa')(text);
}

const FLOAT: AttrValue = {type: 'DT_FLOAT'};

/**
 * Changes a graph node by node. Constants that are added or changed are collected here,
 * apart from the weights of the file.
 */
export class GraphEditor {
  /** New and changed constants, in full precision however the file stored them. */
  readonly constants = new Map<string, StoredWeight>();
  changed = false;
  private readonly nodes: Map<string, NodeDef>;

  /** @param graph Is changed in place. */
  constructor(readonly graph: GraphDef) {
    this.nodes = new Map(graph.node.map((node) => [node.name, node]));
  }

  /** The node that an input names. */
  node(input: string): NodeDef | undefined {
    return this.nodes.get(nodeOf(input));
  }

  /**
   * Adds a node of float32.
   *
   * @returns Its name, to be used as an input of others: the one that was wanted, with a
   * number behind it if that is taken.
   */
  add(wanted: string, op: string, input: string[], attr: Record<string, AttrValue> = {}): string {
    return this.define(wanted, {op, input, attr: {T: FLOAT, ...attr}});
  }

  /** Adds a constant, int32 or float32 as its values are, and gives its name. */
  addConstant(wanted: string, shape: number[], values: Float32Array | Int32Array): string {
    const dtype: AttrValue = {type: values instanceof Int32Array ? 'DT_INT32' : 'DT_FLOAT'};
    const tensorShape = shape.length === 0 ? {} : {dim: shape.map((size) => ({size: String(size)}))};
    const value = {tensor: {dtype: dtype.type, tensorShape}};
    const name = this.define(wanted, {op: 'Const', input: [], attr: {dtype, value}});
    this.setConstant(name, shape, values);
    return name;
  }

  /** Gives a constant other values. */
  setConstant(name: string, shape: number[], values: Float32Array | Int32Array): void {
    const dtype = values instanceof Int32Array ? 'int32' : 'float32';
    this.constants.set(name, {spec: {name, shape, dtype}, bytes: new Uint8Array(values.slice().buffer)});
    this.changed = true;
  }

  /** Adds a copy of a node under another name, and gives that name. */
  copy(node: NodeDef, wanted: string): string {
    const {name: _, ...definition} = copyTopology<NodeDef>(node);
    return this.define(wanted, definition);
  }

  /** Makes a node do something else under its own name, so that what takes its output need not change. */
  replace(node: NodeDef, definition: Omit<NodeDef, 'name'>): void {
    const {name} = node;
    for (const key of Object.keys(node)) delete node[key as keyof NodeDef];
    Object.assign(node, {name, ...definition});
    this.changed = true;
  }

  /** Makes a node another op of float32, which still waits for the node's control inputs. */
  become(node: NodeDef, op: string, input: string[], attr: Record<string, AttrValue> = {}): void {
    const control = (node.input ?? []).filter((name) => name.startsWith('^'));
    const {device} = node;
    this.replace(node, {
      op,
      input: [...input, ...control],
      attr: {T: FLOAT, ...attr},
      ...(device !== undefined && {device}),
    });
  }

  /** The inputs of all nodes that name this node. */
  readers(name: string): {node: NodeDef; input: string}[] {
    return this.graph.node.flatMap((node) =>
      (node.input ?? []).filter((input) => nodeOf(input) === name).map((input) => ({node, input})),
    );
  }

  private define(wanted: string, definition: Omit<NodeDef, 'name'>): string {
    let name = wanted;
    for (let copy = 2; this.nodes.has(name); copy++) name = `${wanted}_${copy}`;
    const node = {name, ...definition};
    this.graph.node.push(node);
    this.nodes.set(name, node);
    this.changed = true;
    return name;
  }
}

/**
 * Artifacts with a changed graph. Weights that nobody has changed stay as they are stored.
 *
 * @param data The bytes of the artifacts' weights.
 * @throws WeightMismatchError if there are fewer than the weights take.
 */
export function editedArtifacts(
  artifacts: tf.io.ModelArtifacts,
  {graph, constants}: GraphEditor,
  data: Uint8Array,
): tf.io.ModelArtifacts {
  const {weightData: _, weightSpecs = [], getWeightStream: __, ...rest} = artifacts;
  const weights = new Map(splitWeights(weightSpecs, data).map((weight) => [weight.spec.name, weight]));
  for (const [name, weight] of constants) weights.set(name, weight);
  return {...rest, modelTopology: graph, ...joinWeights(weights.values())};
}
