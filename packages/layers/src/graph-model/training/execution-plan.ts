import type * as tf from '@tensorflow/tfjs-core';
import {isPassing} from '../constants.js';
import {type RunNode, runOf} from '../interception.js';
import type {Executor, GraphNode} from '../internals.js';
import type {Cut} from './cut.js';
import {apart} from './dilated.js';
import {type Endpoint, inputOf} from './endpoint.js';
import {FusedNorm, findLayerNorms} from './layer-norms.js';
import {runInputs} from './node-inputs.js';
import {isReshaping, Reshapes, reshape} from './reshaping.js';

/** The inputs of a node in the trainable part, and the code that runs in place of its own, if any does. */
export interface NodePlan {
  inputs: Endpoint[];
  run?: RunNode;
}

/** How each node of the trainable part runs. */
export interface ExecutionPlan {
  of(node: GraphNode): NodePlan;
}

/** A node by itself. */
function planOf(node: GraphNode, inputs: Endpoint[]): NodePlan {
  const run = apart(node);
  return run === undefined ? {inputs} : {inputs, run};
}

/** Each node by itself. */
export class PlainPlan implements ExecutionPlan {
  constructor(private readonly cut: Cut) {}

  of(node: GraphNode): NodePlan {
    const inputs = runInputs(node);
    if (!this.cut.carrying.has(node) || !isReshaping(node)) return planOf(node, inputs);
    const reshapes = new Reshapes([node]);
    return {inputs, run: ([x, ...params]) => reshape(x!, reshapes.shape(x!.shape, params))};
  }
}

/**
 * The same outputs with fewer nodes: until the gradient is computed, tfjs keeps each node's output and its
 * gradient, even if the node does nothing. The graph is left as it is.
 */
export class FusedPlan implements ExecutionPlan {
  /** Nodes that run other code than their op's, or none because another node does their work. */
  readonly replaced: ReadonlySet<GraphNode>;
  /** Layer norms in several nodes, by the last of them, which does it all. */
  private readonly norms: ReadonlyMap<GraphNode, FusedNorm>;

  /**
   * @param sites Nodes that an adapter is active at.
   * @param absorbed Nodes whose work a site does, and which of their inputs they hand on.
   * @param stages Nodes of sites within which an output lies.
   */
  constructor(
    executor: Executor,
    private readonly cut: Cut,
    private readonly sites: ReadonlySet<GraphNode>,
    private readonly absorbed: ReadonlyMap<GraphNode, number>,
    private readonly stages: ReadonlyMap<GraphNode, NodePlan> = new Map(),
  ) {
    const visible = new Set(cut.outputs.map(({node}) => node));
    const norms = findLayerNorms(executor, cut.trainable, visible).filter(
      ({end, inner}) => ![end, ...inner].some((node) => absorbed.has(node)),
    );
    this.norms = new Map(norms.map((norm) => [norm.end, new FusedNorm(norm)]));
    this.replaced = new Set([
      ...sites,
      ...absorbed.keys(),
      ...stages.keys(),
      ...norms.flatMap(({end, inner}) => [end, ...inner]),
    ]);
  }

  /** Whether the adapter is still at all nodes where it was. */
  get hold(): boolean {
    return [...this.sites, ...this.absorbed.keys()].every((node) => runOf(node) !== undefined);
  }

  /** Reads what the plan takes from the graph. To be awaited before the first run. */
  async prepare(): Promise<void> {
    await Promise.all([...this.norms.values()].map((norm) => norm.prepare()));
  }

  of(node: GraphNode): NodePlan {
    const stage = this.stages.get(node);
    if (stage !== undefined) return stage;
    const norm = this.norms.get(node);
    if (norm !== undefined) return {inputs: [this.through(norm.nodes.x)], run: ([x]) => norm.run(x!)};
    if (this.isReshape(node)) {
      const {source, shape, params} = this.reshapesUpTo({node, index: 0});
      return {inputs: [source, ...params], run: ([x, ...given]) => reshape(x!, shape(x!, given))};
    }
    const inputs = runInputs(node).map((input) => this.through(input));
    return this.sites.has(node) ? this.planOfSite(node, inputs) : planOf(node, inputs);
  }

  /** A site itself runs the reshapes in front of it, which is no work if the shape stays the same. */
  private planOfSite(node: GraphNode, [first, ...others]: Endpoint[]): NodePlan {
    const {source, shape, params} = this.reshapesUpTo(first!);
    if (source === first) return {inputs: [first!, ...others]};
    return {
      inputs: [source, ...others, ...params],
      run: ([x, ...given]) => {
        const to = shape(x!, given.slice(others.length));
        const same = to.length === x!.rank && to.every((size, i) => size === x!.shape[i]);
        return runOf(node)!([same ? x! : reshape(x!, to), ...given.slice(0, others.length)]);
      },
    };
  }

  /**
   * The endpoint before the nodes that only reshape on the way to an endpoint, and the shape that they give.
   */
  private reshapesUpTo(endpoint: Endpoint): {
    source: Endpoint;
    params: Endpoint[];
    shape(x: tf.Tensor, params: readonly tf.Tensor[]): number[];
  } {
    const nodes: GraphNode[] = [];
    let source = endpoint;
    while (this.isReshape(source.node)) {
      nodes.unshift(source.node);
      source = this.through(inputOf(source.node, 0));
    }
    const reshapes = new Reshapes(nodes);
    const params = reshapes.params.map((param) => this.through(param));
    return {source, params, shape: (x, given) => reshapes.shape(x.shape, given)};
  }

  private isReshape(node: GraphNode): boolean {
    return this.cut.carrying.has(node) && isReshaping(node);
  }

  /** An endpoint, or an earlier one with the same value. */
  private through(endpoint: Endpoint): Endpoint {
    let at = endpoint;
    while (this.cut.trainable.has(at.node) && (this.absorbed.has(at.node) || isPassing(at.node))) {
      at = inputOf(at.node, this.absorbed.get(at.node) ?? 0);
    }
    return at;
  }
}
