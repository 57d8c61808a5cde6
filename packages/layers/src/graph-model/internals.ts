import type {GraphModel} from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {looksLikeGraphModel} from '../core/lifecycle/kinds.js';

/**
 * The parts of tfjs-converter 4.22 that its types hide and an upgrade in place needs. They are gathered in
 * one file, which shows which of the library's internals this package relies on.
 */
export interface GraphNode {
  readonly name: string;
  op: string;
  /** Tells the executor which code to run; `custom` for ops from outside. */
  category: string | undefined;
  /** `node`, `node:1` for another output than the first. */
  readonly inputNames: string[];
  /** In the order of `inputNames`. */
  readonly inputs: GraphNode[];
  /** Nodes that take an output of this one; as often as they do. */
  readonly children: GraphNode[];
  /**
   * Which of the inputs each parameter of the op is, and whether it is a tensor
   * or numbers that are read from one.
   */
  readonly inputParams:
    | Record<string, {type: string; inputIndexStart?: number; inputIndexEnd?: number}>
    | undefined;
  /** Attributes as the executor parsed them; strings are lower-case. */
  readonly attrParams: Record<string, {value?: unknown}>;
  /** Attributes as the file has them, of which custom ops see the parsed values. */
  rawAttrs: Record<string, unknown> | undefined;
}

/** What runs a model's graph. */
export interface Executor {
  readonly graph: {
    nodes: Record<string, GraphNode>;
    outputs: GraphNode[];
    inputs: GraphNode[];
    /** What control flow calls: branches, and bodies of loops. */
    functions?: Record<string, {nodes: Record<string, GraphNode>}>;
  };
  /** The constants, by the name of their node. */
  weightMap: Record<string, tf.Tensor[]>;
  /** What it remembers of the graph, by inputs and outputs. */
  compiledMap: Map<string, unknown>;
}

/** What an executor does. */
export interface RunningExecutor extends Executor {
  execute(inputs: tf.NamedTensorMap, outputs: string[]): tf.Tensor[];
  executeAsync(inputs: tf.NamedTensorMap, outputs: string[]): Promise<tf.Tensor[]>;
}

/** Fields of a GraphModel. */
export interface GraphModelInternals {
  executor?: Executor;
  /** What the model was loaded from, and what its `save` writes. */
  artifacts?: tf.io.ModelArtifacts;
}

/**
 * The node for which a custom op runs. Without it, the value itself, which is new in every run, so nothing is
 * known of earlier runs.
 */
export function runningNode(value: object): object {
  return (value as {node?: GraphNode}).node ?? value;
}

export function isGraphModel(model: unknown): model is GraphModel {
  return looksLikeGraphModel(model);
}

/**
 * What runs the graph of a model.
 *
 * @throws ConfigError if the model is not loaded, or this version of tfjs-converter is built otherwise.
 */
export function executorOf(model: GraphModel): Executor {
  const {executor} = inside(model);
  if (executor === undefined) {
    throw new ConfigError(
      'The GraphModel is not loaded. Use the result of tf.loadGraphModel, or call load() first.',
    );
  }
  const {nodes} = executor.graph ?? {};
  const some = nodes && Object.values(nodes)[0];
  const known =
    some !== undefined &&
    typeof executor.weightMap === 'object' &&
    executor.compiledMap instanceof Map &&
    Array.isArray(executor.graph.outputs) &&
    Array.isArray(some.inputs) &&
    Array.isArray(some.inputNames) &&
    Array.isArray(some.children) &&
    typeof some.attrParams === 'object' &&
    'category' in some &&
    'rawAttrs' in some;
  if (!known) {
    throw new ConfigError(
      'The internals of this GraphModel do not match tfjs-converter 4.22. Use ' +
        '@tensorflow/tfjs-converter 4.22.',
    );
  }
  return executor;
}

/** A model by fields that its types hide. The only cast to what is private in tfjs-converter. */
function inside(model: GraphModel): GraphModelInternals {
  return model as unknown as GraphModelInternals;
}

/** What the model was loaded from. */
export function artifactsOf(model: GraphModel): tf.io.ModelArtifacts {
  return inside(model).artifacts!;
}

/**
 * What the model was loaded from, its weights included.
 *
 * @throws ConfigError if they are not kept, as where the model was loaded by streaming.
 */
export function withWeights(model: GraphModel): tf.io.ModelArtifacts {
  const artifacts = artifactsOf(model);
  if (artifacts.weightData === undefined) {
    throw new ConfigError(
      'The GraphModel was loaded with streamWeights, so it keeps no copy of its weights. Load ' +
        'it without streamWeights.',
    );
  }
  return artifacts;
}

/**
 * What the file stores each constant as: `uint8`, `uint16` or `float16` where the converter has quantised it.
 */
export function storedTypes(model: GraphModel): ReadonlyMap<string, string> {
  const specs = artifactsOf(model)?.weightSpecs ?? [];
  return new Map(specs.map(({name, dtype, quantization}) => [name, quantization?.dtype ?? dtype]));
}

/** An attribute of a node as the executor parsed it. */
export function attribute<T>(node: GraphNode, name: string): T | undefined {
  return node.attrParams[name]?.value as T | undefined;
}
