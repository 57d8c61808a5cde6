import {ConfigError, NoGradientError} from '@tfjs-peft/kernels';
import {own} from '../../names.js';
import {attribute, type Executor, type GraphNode} from '../internals.js';
import {type Endpoint, endpointName, inputOf, parseEndpoint} from './endpoint.js';

/** A graph in two parts: what trained weights cannot change, and the rest. */
export interface Cut {
  /** The endpoints that are asked for. */
  readonly outputs: Endpoint[];
  /** The nodes that depend on what is trained and that some output needs, in the order of the graph. */
  readonly rest: ReadonlySet<GraphNode>;
  /** Those of them through which a gradient flows: all but shapes, indices and truth values. */
  readonly carrying: ReadonlySet<GraphNode>;
  /** The endpoints in front that the rest takes, or that are asked for; each once, and no constant. */
  readonly crossing: Endpoint[];
  /** Whether some node in front runs only by `executeAsync`. */
  readonly dynamic: boolean;
}

/** What tfjs-converter runs only asynchronously: control flow, outputs whose shape depends on values, tables. */
const ASYNCHRONOUS = new Set(['control', 'dynamic', 'hash_table']);

/** Ops whose output no gradient can reach, though it depends on the input. */
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
]);

/** Whether a node runs only by `executeAsync`. */
function isAsynchronous({category}: GraphNode): boolean {
  return ASYNCHRONOUS.has(category ?? '');
}

function endsGradient(node: GraphNode): boolean {
  if (CONSTANT_OUTPUTS.has(node.op)) return true;
  const dtype = attribute<string>(node, 'dtype');
  return node.op === 'Cast' && dtype !== undefined && dtype !== 'float32';
}

/** All nodes that depend on the sources, and these themselves; through a node that `ends` says it of, nothing is followed. */
function dependents(
  sources: Iterable<GraphNode>,
  ends: (node: GraphNode) => boolean = () => false,
): Set<GraphNode> {
  const found = new Set<GraphNode>(sources);
  // A set may grow while one goes through it.
  for (const node of found) {
    for (const child of node.children) if (!ends(child)) found.add(child);
  }
  return found;
}

/**
 * Cuts a graph between what trained weights cannot change and the rest.
 *
 * The part in front may be as dynamic as it likes, for it runs before the gradient is taken. The rest runs while it is, which tfjs
 * does synchronously only.
 *
 * @param sources Nodes whose output changes with what is trained. Without any, everything is in front.
 * @param outputs Endpoints to compute.
 * @throws NoGradientError if a dynamic op lies in the rest; it names op and node, and the source before it.
 */
export function cutGraph(executor: Executor, sources: readonly GraphNode[], outputs: Endpoint[]): Cut {
  const isConstant = ({name}: GraphNode) => Object.hasOwn(executor.weightMap, name);
  const changing = dependents(sources);
  const differentiable = dependents(sources, endsGradient);
  const needed = new Set(outputs.map(({node}) => node));
  for (const node of needed) if (!isConstant(node)) for (const input of node.inputs) needed.add(input);

  const rest = new Set(
    Object.values(executor.graph.nodes).filter(
      (node) => changing.has(node) && needed.has(node) && !isConstant(node),
    ),
  );
  for (const node of rest) {
    if (isAsynchronous(node)) throw dynamicBehind(node, sources);
  }
  const crossing = new Map<string, Endpoint>();
  const cross = (endpoint: Endpoint) => {
    if (!rest.has(endpoint.node) && !isConstant(endpoint.node)) {
      crossing.set(endpointName(endpoint), endpoint);
    }
  };
  for (const node of rest) {
    for (const i of node.inputs.keys()) cross(inputOf(node, i));
  }
  for (const output of outputs) cross(output);
  const front = new Set([...crossing.values()].map(({node}) => node));
  for (const node of front) if (!isConstant(node)) for (const input of node.inputs) front.add(input);
  return {
    outputs,
    rest,
    carrying: new Set([...rest].filter((node) => differentiable.has(node))),
    crossing: [...crossing.values()],
    dynamic: [...front].some(isAsynchronous),
  };
}

function dynamicBehind(node: GraphNode, sources: readonly GraphNode[]): NoGradientError {
  const before = sources.filter((source) => dependents([source]).has(node)).map(({name}) => `'${name}'`);
  return new NoGradientError(
    `Node '${node.name}' (${node.op}) is dynamic and comes behind what is trained: ${before.join(', ')}. tfjs runs it only by ` +
      'executeAsync, through which no gradient can be taken. Leave those sites out of the targets, or train towards a node before it.',
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
      `outputs: the graph has no node '${name}'. Name one of its nodes; its own outputs are ` +
        `${executor.graph.outputs.map(({name}) => `'${name}'`).join(', ')}.`,
    );
  }
  return {node, index};
}
