import * as tf from '@tensorflow/tfjs-core';
import {Interception} from '../interception.js';
import type {Executor, GraphNode, RunningExecutor} from '../internals.js';
import type {Cut} from './cut.js';
import {endpointName} from './endpoint.js';
import type {ExecutionPlan} from './execution-plan.js';

type ExecutorClass = new (graph: object) => RunningExecutor;

const PLACEHOLDER = 'tfjs-peft/cut';

/**
 * The trainable part of a cut graph, as a graph with an executor of its own: it takes the crossing tensors
 * and runs synchronously, on a gradient tape if there is one. tfjs's own executor can be fed in the middle of
 * a graph too, but not behind a dynamic node, nor at two outputs of one node, and it takes the type of a
 * comparison's operands for that of its result.
 *
 * The trainable part of a cut graph, as a graph with an executor of its own: it takes the crossing tensors
 * and runs synchronously, on a gradient tape if there is one. tfjs's own executor can be fed in the middle of
 * a graph too, but not behind a dynamic node, nor at two outputs of one node, and it takes the type of a
 * comparison's operands for that of its result. Its nodes are views of the model's nodes, so what adapters do
 * to those applies here too; the weights are the model's. It has only the nodes that its {@link
 * ExecutionPlan} needs.
 */
export class TrainableSubgraph {
  private readonly executor: RunningExecutor;
  private readonly outputs: string[];
  private readonly crossing: number;
  private readonly own = new Interception();

  constructor(
    private readonly whole: Executor,
    cut: Cut,
    plan: ExecutionPlan,
  ) {
    const feeds = cut.crossing.map((_, i) => placeholder(`${PLACEHOLDER}/${i}`));
    const fed = new Map(cut.crossing.map((endpoint, i) => [endpointName(endpoint), feeds[i]!]));
    const views = new Map<GraphNode, GraphNode>();
    const weights = new Map<GraphNode, GraphNode>();
    const viewIn = (known: Map<GraphNode, GraphNode>, node: GraphNode): GraphNode => {
      const own = known.get(node) ?? view(node);
      known.set(node, own);
      return own;
    };
    for (const {node} of cut.outputs) if (cut.trainable.has(node)) viewIn(views, node);
    // A map may grow during the loop over it.
    for (const [node, own] of views) {
      const {inputs, run} = plan.of(node);
      for (const endpoint of inputs) {
        const feed = fed.get(endpointName(endpoint));
        const source = feed ?? viewIn(cut.trainable.has(endpoint.node) ? views : weights, endpoint.node);
        own.inputs.push(source);
        own.inputNames.push(feed?.name ?? endpointName(endpoint));
        source.children.push(own);
      }
      if (run !== undefined) this.own.set(own, run);
    }
    const all = [...feeds, ...weights.values(), ...views.values()];
    const last = cut.outputs.flatMap(({node}) => views.get(node) ?? []);
    this.crossing = feeds.length;
    this.outputs = cut.outputs.filter(({node}) => cut.trainable.has(node)).map(endpointName);
    this.executor = new (whole as object as {constructor: ExecutorClass}).constructor({
      nodes: Object.fromEntries(all.map((node) => [node.name, node])),
      inputs: feeds,
      outputs: last,
      placeholders: feeds,
      weights: [...weights.values()],
      functions: {},
    });
  }

  /**
   * Computes those outputs of the cut that lie in it, in their order.
   *
   * @param crossing Tensors in the order of the cut's crossing endpoints.
   */
  run(crossing: readonly tf.Tensor[]): tf.Tensor[] {
    if (this.outputs.length === 0) return [];
    if (this.executor.weightMap !== this.whole.weightMap) this.executor.weightMap = this.whole.weightMap;
    const feeds = Array.from({length: this.crossing}, (_, i) => [`${PLACEHOLDER}/${i}`, crossing[i]!]);
    const names = [...new Set(this.outputs)];
    const results = this.executor.execute(Object.fromEntries(feeds) as tf.NamedTensorMap, names);
    // An output may be asked for twice, for a head each; whoever takes one disposes it.
    return this.outputs.map((name, i) => {
      const result = results[names.indexOf(name)]!;
      return this.outputs.indexOf(name) === i ? result : tf.clone(result);
    });
  }

  dispose(): void {
    this.own.clear();
  }
}

/**
 * A node as the subgraph sees it: with other neighbours, but everything else is the model's, including later
 * changes.
 */
function view(node: GraphNode): GraphNode {
  const own = {inputs: [], inputNames: [], children: []};
  return Object.assign(Object.create(node) as GraphNode, own);
}

function placeholder(name: string): GraphNode {
  const links = {inputs: [], inputNames: [], children: []};
  const attributes = {attrParams: {}, inputParams: {}, rawAttrs: {}};
  return {name, op: 'Placeholder', category: 'graph', ...links, ...attributes} as GraphNode;
}
