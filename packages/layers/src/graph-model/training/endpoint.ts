import {nodeOf, outputIndexOf} from '../../core/io/graph-editor.js';
import type {GraphNode} from '../internals.js';

/** An output of a node. */
export interface Endpoint {
  node: GraphNode;
  index: number;
}

/** `node`, `node:1`, or `node:name:1` as the converter writes outputs. */
export function parseEndpoint(name: string): [node: string, index: number] {
  return [nodeOf(name), outputIndexOf(name)];
}

/** The name by which the executor knows an endpoint. */
export function endpointName({node, index}: Endpoint): string {
  return index === 0 ? node.name : `${node.name}:${index}`;
}

/** What a node gets at one of its inputs. */
export function inputOf(node: GraphNode, input: number): Endpoint {
  return {node: node.inputs[input]!, index: parseEndpoint(node.inputNames[input]!)[1]};
}
