import {ConfigError, NoGradientError} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import {listNames} from '../../core/messages.js';
import {attribute, type Executor, type GraphNode} from '../internals.js';
import {type Endpoint, endpointName, inputOf, parseEndpoint} from './endpoint.js';
import {consumersOf, DATA, inputsOfKind, runInputs, TENSORS} from './node-inputs.js';

/** A graph in two parts: the front, which trained weights cannot change, and the trainable part. */
export interface Cut {
  /** The endpoints that are asked for. */
  readonly outputs: Endpoint[];
  /** The nodes that depend on what is trained and that some output needs, in the order of the graph. */
  readonly trainable: ReadonlySet<GraphNode>;
  /**
   * Those of them through which a gradient flows from the outputs to what is trained:
   * no shapes, indices, truth values.
   */
  readonly carrying: ReadonlySet<GraphNode>;
  /** What is trained. */
  readonly sources: readonly GraphNode[];
  /** What follows what is trained, whether or not a gradient comes to it from the outputs. */
  readonly differentiable: ReadonlySet<GraphNode>;
  /**
   * The endpoints in front that the trainable part reads, or that are asked for; each once, without
   * constants.
   */
  readonly crossing: Endpoint[];
  /** Whether some node in front runs only by `executeAsync`. */
  readonly dynamic: boolean;
}

/**
 * What tfjs-converter runs only asynchronously: control flow, outputs whose shape depends on values, tables.
 */
const ASYNCHRONOUS = new Set(['control', 'dynamic', 'hash_table']);

/**
 * Ops whose output is piecewise constant: it does not follow small changes of the input, so no gradient
 * reaches what comes before.
 */
const CONSTANT_OUTPUTS = new Set([
  'Shape',
  'ShapeN',
  'Size',
  'Rank',
  'ArgMax',
  'ArgMin',
  'Equal',
  'NotEqual',
  'Greater',
  'GreaterEqual',
  'Less',
  'LessEqual',
  'LogicalAnd',
  'LogicalOr',
  'LogicalNot',
  'IsNan',
  'IsInf',
  'IsFinite',
  'Any',
  'All',
  'OnesLike',
  'ZerosLike',
  'Ceil',
  'Floor',
  'Round',
  'Sign',
  'FloorDiv',
  'LowerBound',
  'UpperBound',
  'Multinomial',
  'BitwiseAnd',
  'LookupTableFind',
  'LookupTableFindV2',
  'StringToHashBucketFast',
]);

/** Ops whose first output has a gradient; the others are indices. */
const FIRST_OUTPUT = new Set(['TopKV2', 'MaxPoolWithArgmax']);

/** Whether a node runs only by `executeAsync`. */
function isAsynchronous({category}: GraphNode): boolean {
  return ASYNCHRONOUS.has(category ?? '');
}

/** Whether a node's output does not follow small changes of its inputs. */
export function endsGradient(node: GraphNode): boolean {
  if (CONSTANT_OUTPUTS.has(node.op)) return true;
  const dtype = attribute<string>(node, 'dtype');
  return node.op === 'Cast' && dtype !== undefined && dtype !== 'float32';
}

/** Whether a gradient can flow back from an output of a node. */
export function flowsFrom({node, index}: Endpoint): boolean {
  return !endsGradient(node) && (index === 0 || !FIRST_OUTPUT.has(node.op));
}

/** All nodes that depend on the sources, and these themselves. */
function dependents(sources: Iterable<GraphNode>): Set<GraphNode> {
  const found = new Set<GraphNode>(sources);
  // A set may grow during the loop over it.
  for (const node of found) {
    for (const child of consumersOf(node, DATA)) found.add(child);
  }
  return found;
}

/** The inputs through which a gradient can flow back from a node. */
export function flowingInputs(node: GraphNode): Endpoint[] {
  return inputsOfKind(node, TENSORS).flatMap((i) => {
    const input = inputOf(node, i);
    return flowsFrom(input) ? [input] : [];
  });
}

/** The sources, and what depends on them by tensors alone and through no op that ends the gradient. */
function differentiableFrom(sources: Iterable<GraphNode>): Set<GraphNode> {
  const found = new Set<GraphNode>(sources);
  for (const node of found) {
    for (const child of consumersOf(node, TENSORS)) {
      const flows = flowingInputs(child).some((input) => input.node === node);
      if (flows && !endsGradient(child)) found.add(child);
    }
  }
  return found;
}

/** The nodes that a gradient of some endpoints can reach. */
export function reachedFrom(endpoints: readonly Endpoint[]): Set<GraphNode> {
  const found = new Set(endpoints.filter(flowsFrom).map(({node}) => node));
  for (const node of found) for (const input of flowingInputs(node)) found.add(input.node);
  return found;
}

/**
 * Cuts a graph into the front, which trained weights cannot change, and the trainable part.
 *
 * The front may be as dynamic as it likes: it runs before the gradient is taken. The trainable part runs on
 * the tape, which tfjs does synchronously only.
 *
 * @param sources Nodes whose output changes with what is trained. Without any, everything is in front.
 * @param outputs Endpoints to compute.
 * @throws NoGradientError if a dynamic op lies in the trainable part; it names op
 * and node, and the source before it.
 */
export function cutGraph(executor: Executor, sources: readonly GraphNode[], outputs: Endpoint[]): Cut {
  const isConstant = ({name}: GraphNode) => Object.hasOwn(executor.weightMap, name);
  const changing = dependents(sources);
  const differentiable = differentiableFrom(sources);
  const reached = reachedFrom(outputs);
  const needed = new Set(outputs.map(({node}) => node));
  for (const node of needed)
    if (!isConstant(node)) for (const input of runInputs(node)) needed.add(input.node);

  const trainable = new Set(
    Object.values(executor.graph.nodes).filter(
      (node) => changing.has(node) && needed.has(node) && !isConstant(node),
    ),
  );
  for (const node of trainable) {
    if (isAsynchronous(node)) throw dynamicBehind(node, sources);
  }
  const crossing = new Map<string, Endpoint>();
  const cross = (endpoint: Endpoint) => {
    if (!trainable.has(endpoint.node) && !isConstant(endpoint.node)) {
      crossing.set(endpointName(endpoint), endpoint);
    }
  };
  for (const node of trainable) {
    for (const input of runInputs(node)) cross(input);
  }
  for (const output of outputs) cross(output);
  const front = new Set([...crossing.values()].map(({node}) => node));
  for (const node of front) if (!isConstant(node)) for (const input of node.inputs) front.add(input);
  return {
    outputs,
    trainable,
    carrying: new Set([...trainable].filter((node) => differentiable.has(node) && reached.has(node))),
    sources,
    differentiable,
    crossing: [...crossing.values()],
    dynamic: [...front].some(isAsynchronous),
  };
}

function dynamicBehind(node: GraphNode, sources: readonly GraphNode[]): NoGradientError {
  const before = sources.filter((source) => dependents([source]).has(node)).map(({name}) => name);
  return new NoGradientError(
    `Node '${node.name}' (${node.op}) is dynamic and comes after trained nodes: ` +
      `${listNames(before)}. tfjs runs it only in executeAsync, which has no gradients. Remove ` +
      'those sites from targets, or set outputs to a node before it.',
  );
}

/**
 * The endpoint of a name that `model.execute` takes: of a node, or of an output of the signature.
 *
 * @throws ConfigError if the graph has none of that name.
 */
export function findEndpoint(executor: Executor, name: string, signature: unknown): Endpoint {
  const {outputs} = (signature ?? {}) as {outputs?: Record<string, {name?: string}>};
  const [path, index] = parseEndpoint(own(outputs, name)?.name ?? name);
  const node = own(executor.graph.nodes, path);
  if (node === undefined) {
    throw new ConfigError(
      `outputs: the graph has no node '${name}'. Use the name of a node; the model's own outputs are ` +
        `${listNames(executor.graph.outputs.map(({name}) => name))}.`,
    );
  }
  return {node, index};
}
