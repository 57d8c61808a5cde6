import {isPassing} from '../constants.js';
import type {Executor, GraphNode} from '../internals.js';
import type {Cut} from './cut.js';
import {type Endpoint, inputOf} from './endpoint.js';
import {findLayerNorms, type LayerNormNodes} from './layer-norms.js';
import {isReshaping} from './reshaping.js';

/**
 * How the rest of a cut graph gets by with fewer nodes: until the gradient is through, tfjs keeps what each node gives and the gradient
 * of it, even if the node does nothing. The graph itself is left as it is.
 */
export class Shortcuts {
  /** Layer norms in several nodes, by the last of them, which does it all. */
  readonly norms: ReadonlyMap<GraphNode, LayerNormNodes>;
  /** Nodes whose work another node does, and those that do another's. */
  readonly replaced: ReadonlySet<GraphNode>;

  /** @param absorbed Nodes whose work a site does, and which of their inputs they hand on. */
  constructor(
    executor: Executor,
    private readonly cut: Cut,
    private readonly absorbed: ReadonlyMap<GraphNode, number>,
  ) {
    const visible = new Set(cut.outputs.map(({node}) => node));
    const found = findLayerNorms(executor, cut.rest, visible).filter(
      ({end, inner}) => ![end, ...inner].some((node) => absorbed.has(node)),
    );
    this.norms = new Map(found.map((norm) => [norm.end, norm]));
    this.replaced = new Set([...absorbed.keys(), ...found.flatMap(({end, inner}) => [end, ...inner])]);
  }

  /** What a node of the rest is to get. */
  inputsOf(node: GraphNode): Endpoint[] {
    const norm = this.norms.get(node);
    if (norm !== undefined) return [this.through(norm.x)];
    const inputs = node.inputs.map((_, i) => this.through(inputOf(node, i)));
    // Another shape in between does not matter to one that does not depend on it.
    if (node.op === 'Reshape' && this.cut.carrying.has(node)) {
      while (this.isShape(inputs[0]!)) inputs[0] = this.through(inputOf(inputs[0]!.node, 0));
    }
    return inputs;
  }

  private isShape({node}: Endpoint): boolean {
    return this.cut.carrying.has(node) && isReshaping(node);
  }

  /** An endpoint, or that before it which is the same. */
  private through(endpoint: Endpoint): Endpoint {
    let {node} = endpoint;
    let at = endpoint;
    while (this.cut.rest.has(node) && (this.absorbed.has(node) || isPassing(node))) {
      at = inputOf(node, this.absorbed.get(node) ?? 0);
      node = at.node;
    }
    return at;
  }
}
