import * as tf from '@tensorflow/tfjs-core';
import type {Adapter} from '../core/adapters/adapter.js';
import {type Exchanged, together} from '../core/lifecycle/exchanged.js';
import type {MergeableSite, Merger} from '../core/lifecycle/mergeable.js';
import type {Merged} from '../core/sites/merge.js';
import type {Operation} from '../core/sites/operation.js';
import type {AdaptedGraphModel} from './adapted-graph-model.js';
import type {Constant} from './constants.js';
import type {Executor, GraphNode} from './internals.js';
import {mergedArtifacts} from './saving/merged.js';
import type {NodeSite} from './sites/node-site.js';

/** A node with an adapter that can be merged into its constants. */
class MergeableNode implements MergeableSite {
  readonly label: string;
  readonly operation: Operation;

  constructor(
    readonly path: string,
    readonly adapter: Adapter,
    private readonly site: NodeSite,
    private readonly executor: Executor,
  ) {
    this.label = `Node '${path}'`;
    this.operation = site.operation;
  }

  refusal({bias, post}: Merged): string | undefined {
    if (post !== undefined)
      return 'the adapter scales what comes out of the activation, and no constant does; exportPlain adds one';
    if (bias !== undefined && this.site.bias === undefined)
      return 'the adapter needs a bias, but the node has none';
    for (const constant of bias === undefined ? [this.site.weight] : [this.site.weight, this.site.bias!]) {
      const other = otherReader(this.executor, constant);
      if (other !== undefined)
        return `'${constant.name}' is also read by '${other}'; exportPlain gives the node one of its own`;
    }
    return undefined;
  }

  exchange({kernel, bias}: Merged): Exchanged {
    const {weight, bias: constant, restore} = this.site;
    const exchanged: Exchanged[] = [];
    tf.tidy(() => {
      exchanged.push(exchangeConstant(this.executor, weight, restore?.(kernel) ?? kernel));
      if (bias !== undefined) exchanged.push(exchangeConstant(this.executor, constant!, bias));
    });
    return together(exchanged);
  }
}

/** Who reads a constant besides the node that takes it here; or undefined. */
function otherReader({graph}: Executor, {name, user}: Constant): string | undefined {
  let reader: GraphNode = user.node;
  let source = user.node.inputs[user.input]!;
  for (;;) {
    const others = source.children.filter((child) => child !== reader);
    if (others.length > 0) return others[0]!.name;
    if (graph.outputs.includes(source)) return 'the outputs of the model';
    if (source.name === name) return undefined;
    reader = source;
    source = source.inputs[0]!;
  }
}

function exchangeConstant(executor: Executor, {name, shape}: Constant, value: tf.Tensor): Exchanged {
  const before = executor.weightMap[name]!;
  const after = tf.keep(tf.clone(tf.reshape(value, shape)));
  // Its setter notes which tensors the executor must not dispose.
  executor.weightMap = {...executor.weightMap, [name]: [after]};
  return {
    restore() {
      executor.weightMap = {...executor.weightMap, [name]: before};
      after.dispose();
    },
    release: () => tf.dispose(before),
  };
}

/** GraphModels, for merging. */
export const graphMerger: Merger<AdaptedGraphModel> = {
  sites: (state) =>
    state
      .sitesOf(state.active!)
      .map(({path, node, adapter}) => new MergeableNode(path, adapter, node, state.executor)),
  /** What a trainer has put behind the graph is the trainer's. */
  trained: () => () => together([]),
  artifacts(state, merged) {
    const sites = state
      .sitesOf(state.active!)
      .map(({path, node}) => ({path, node, merged: merged.get(path)!}));
    return mergedArtifacts(state.source(), sites);
  },
};
