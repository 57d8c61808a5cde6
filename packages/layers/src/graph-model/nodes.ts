import * as tf from '@tensorflow/tfjs-core';
import type {Candidate, Described} from '../core/lifecycle/select.js';
import {withArticle} from '../core/messages.js';
import {constantAt} from './constants.js';
import {SITE_OPS} from './interception.js';
import type {Executor, GraphNode} from './internals.js';
import {matchConvolution, matchDepthwise, matchTransposed} from './sites/convolution.js';
import {matchEinsum} from './sites/einsum.js';
import {matchLookup} from './sites/lookup.js';
import {isRefusal, type MatchNode, type NodeSite, type Refusal} from './sites/node-site.js';
import {matchProduct} from './sites/product.js';

/** Ops whose nodes can be sites. */
const MATCHERS: Record<string, MatchNode> = {
  MatMul: matchProduct,
  _FusedMatMul: matchProduct,
  BatchMatMul: matchProduct,
  BatchMatMulV2: matchProduct,
  Einsum: matchEinsum,
  Conv2D: matchConvolution,
  _FusedConv2D: matchConvolution,
  DepthwiseConv2dNative: matchDepthwise,
  FusedDepthwiseConv2dNative: matchDepthwise,
  Conv2DBackpropInput: matchTransposed,
  GatherV2: matchLookup,
  Gather: matchLookup,
};

/** Ops that usually have a weight, but cannot be sites. */
const OTHERS = [
  'Conv1D',
  'Conv3D',
  'BatchMatMulV3',
  'SparseMatMul',
  'FusedBatchNorm',
  'FusedBatchNormV2',
  'FusedBatchNormV3',
  'ResourceGather',
];

/** A node of a graph, and how it can be a site. */
export interface LocatedNode extends Candidate {
  node: GraphNode;
  site?: NodeSite;
}

/**
 * The nodes of a graph that can be sites or look like it, in the order of the file. The graph must be as it
 * was loaded: what a node can be depends on its neighbours.
 */
export function describeNodes(
  executor: Executor,
  stored: ReadonlyMap<string, string>,
): Described<LocatedNode>[] {
  const outputs = outputNodes(executor);
  const own = Object.values(executor.graph.nodes).flatMap((node) => {
    const described = describeNode(executor, node, stored);
    return described === undefined ? [] : [{...described, output: outputs.has(node)}];
  });
  return [...own, ...describeFunctions(executor)];
}

/**
 * The nodes with weights that give the outputs of the model, directly or through nodes with no other computed
 * input.
 */
function outputNodes(executor: Executor): ReadonlySet<GraphNode> {
  const found = new Set<GraphNode>();
  const visit = (node: GraphNode): void => {
    if (Object.hasOwn(MATCHERS, node.op)) {
      found.add(node);
      return;
    }
    const computed = node.inputs.filter((_, input) => constantAt(executor, node, input) === undefined);
    if (computed.length === 1) visit(computed[0]!);
  };
  for (const output of executor.graph.outputs) visit(output);
  return found;
}

/**
 * Nodes that control flow runs. They cannot carry adapters: nothing tells for which model, and in which
 * iteration of a loop, they run.
 */
function describeFunctions({graph}: Executor): Described<LocatedNode>[] {
  return Object.entries(graph.functions ?? {}).flatMap(([name, {nodes}]) =>
    Object.values(nodes)
      .filter(({op}) => Object.hasOwn(MATCHERS, op) && !op.startsWith('Gather'))
      .map((node) => ({
        at: {...candidateOf(`${name}/${node.name}`), node},
        info: {...NO_SITE, name: `${name}/${node.name}`, layer: node.name, className: node.op},
        refusal: {
          reason:
            `${withArticle(node.op)} inside the function '${name}', which control flow runs; only nodes of ` +
            'the graph itself can carry an adapter',
          asked: false,
        },
      })),
  );
}

const NO_SITE = {kind: 'other', shape: null, weightShape: null, dtype: null, parameters: 0};

/** A node's name is its path, and the scopes in front of it are what is around it. */
function candidateOf(name: string): Candidate {
  const around = [...name.matchAll(/\//g)].map(({index}) => name.slice(0, index));
  return {path: name, names: [name], around};
}

/** How a node can be a site; undefined if nodes of its op cannot be any. */
export function matchNode(executor: Executor, node: GraphNode): NodeSite | Refusal | undefined {
  return Object.hasOwn(MATCHERS, node.op) ? MATCHERS[node.op]!(executor, node) : undefined;
}

function describeNode(
  executor: Executor,
  node: GraphNode,
  stored: ReadonlyMap<string, string>,
): Described<LocatedNode> | undefined {
  const {name, op} = node;
  const weight = [1, 0].map((input) => constantAt(executor, node, input)).find((w) => w?.dtype === 'float32');
  const info = {
    name,
    layer: name,
    className: op,
    kind: 'other',
    shape: null,
    weightShape: weight?.shape ?? null,
    dtype: weight === undefined ? null : (stored.get(weight.name) ?? weight.dtype),
    parameters: weight === undefined ? 0 : tf.util.sizeFromShape(weight.shape),
  };
  const refused = (reason: string, asked: boolean): Described<LocatedNode> => ({
    at: {...candidateOf(name), node},
    info,
    refusal: {reason, asked},
  });
  if (SITE_OPS.includes(op)) return refused('a site of an adapter that was saved with the model', false);
  const match = matchNode(executor, node);
  if (match === undefined) {
    return OTHERS.includes(op) && weight !== undefined
      ? refused(
          `${withArticle(op)}, which cannot carry an adapter; ${Object.keys(MATCHERS).join(', ')} can`,
          false,
        )
      : undefined;
  }
  if (isRefusal(match)) {
    // The converter's shape arithmetic is full of these.
    if (op.startsWith('Gather') && weight === undefined) return undefined;
    return refused(`${withArticle(op)} that ${match.reason}`, weight !== undefined);
  }
  const {dims} = match.operation;
  return {
    at: {...candidateOf(name), node, site: match},
    info: {
      ...info,
      kind: match.kind,
      shape: [dims.inputDim, dims.outputDim],
      weightShape: match.weight.shape,
      dtype: stored.get(match.weight.name) ?? match.weight.dtype,
      parameters: tf.util.sizeFromShape(match.weight.shape) + tf.util.sizeFromShape(match.bias?.shape ?? [0]),
    },
    dims,
  };
}
