import type * as tf from '@tensorflow/tfjs-core';
import {needed} from '../../core/io/text.js';
import {UnsupportedModelError} from '../log.js';

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

export interface NodeDef {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, AttrValue>;
  device?: string;
}

export interface GraphDef {
  node: NodeDef[];
  versions?: {producer?: number};
  library?: {function?: {signature?: {name?: string}; nodeDef?: NodeDef[]}[]};
}

export function decodeString(value: string | number[] | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? needed('atob')(value) : String.fromCharCode(...value);
}

const encodeString = (text: string) => needed('btoa')(text);

/** The names of what a fused node does after its product, such as `['BiasAdd', 'Relu']`. */
export function fusedOps(node: NodeDef): string[] {
  return (node.attr?.fused_ops?.list?.s ?? []).map(decodeString);
}

export function fusedOpsAttr(ops: readonly string[]): AttrValue {
  return {list: {s: ops.map(encodeString)}};
}

/** `^node` is a control input, `node:1` the second output; both stripped. */
export function nodeOf(input: string): string {
  return input.replace(/^\^/, '').replace(/:\d+$/, '');
}

export function outputIndexOf(input: string): number {
  return Number(/:(\d+)$/.exec(input)?.[1] ?? 0);
}

const FLOAT: AttrValue = {type: 'DT_FLOAT'};

/**
 * A graph that is being rewritten: new nodes and constants are collected here, with the bytes and specs of the constants, so that a
 * rule only says which nodes it wants.
 */
export class GraphEditor {
  readonly specs: tf.io.WeightsManifestEntry[] = [];
  readonly bytes: Uint8Array[] = [];
  changed = false;
  private readonly nodes: Map<string, NodeDef>;

  constructor(readonly graph: GraphDef) {
    this.nodes = new Map(graph.node.map((node) => [node.name, node]));
  }

  node(input: string): NodeDef | undefined {
    return this.nodes.get(nodeOf(input));
  }

  /** Adds a node of float32 and returns its name, to be used as an input of the next. */
  add(name: string, op: string, input: string[], attr: Record<string, AttrValue> = {}): string {
    if (this.nodes.has(name)) {
      throw new UnsupportedModelError(
        `Graph node '${name}' exists already: was the graph repaired before? Load the model as it was converted.`,
      );
    }
    const node: NodeDef = {name, op, input, attr: {T: FLOAT, ...attr}};
    this.graph.node.push(node);
    this.nodes.set(name, node);
    this.changed = true;
    return name;
  }

  float(name: string, value: number): string {
    return this.constant(name, [], 'float32', new Float32Array([value]));
  }

  ints(name: string, values: number[]): string {
    return this.constant(name, [values.length], 'int32', new Int32Array(values));
  }

  private constant(
    name: string,
    shape: number[],
    dtype: 'float32' | 'int32',
    values: Float32Array | Int32Array,
  ): string {
    const type: AttrValue = {type: dtype === 'float32' ? 'DT_FLOAT' : 'DT_INT32'};
    const dim = shape.map((size) => ({size: String(size)}));
    this.add(name, 'Const', [], {
      dtype: type,
      value: {tensor: {dtype: type.type, tensorShape: shape.length > 0 ? {dim} : {}}},
    });
    delete this.node(name)!.attr!.T;
    this.specs.push({name, shape, dtype});
    this.bytes.push(new Uint8Array(values.buffer));
    return name;
  }

  /** Makes an existing node do something else under its own name, so that what takes its output need not change. */
  become(node: NodeDef, op: string, input: string[], attr: Record<string, AttrValue> = {}): void {
    const control = (node.input ?? []).filter((name) => name.startsWith('^'));
    this.changed = true;
    Object.assign(node, {op, input: [...input, ...control], attr: {T: FLOAT, ...attr}});
  }

  /** Names of the nodes that read another output of a node than its first. */
  readersBeyondFirst(name: string): string[] {
    return this.graph.node
      .filter((node) => node.input?.some((input) => nodeOf(input) === name && outputIndexOf(input) > 0))
      .map((node) => node.name);
  }
}

export function dataInputs(node: NodeDef): string[] {
  return (node.input ?? []).filter((name) => !name.startsWith('^'));
}
