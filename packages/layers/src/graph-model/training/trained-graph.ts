import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {upgradeOf} from '../../core/lifecycle/handle.js';
import {isInTraining} from '../../core/lifecycle/model-lock.js';
import type {AdaptedGraphModel} from '../adapted-graph-model.js';
import {addedNode} from '../added-node.js';
import {executorOf, type GraphNode} from '../internals.js';
import type {GraphBatch} from './batches.js';
import {Forward, type PreparedBatch} from './forward.js';
import {asTrained, type TrainedVariable} from './graph-layer.js';
import {findGaps, type GradientGap} from './preflight.js';

/**
 * A model's graph as it is trained now: by its active adapter, by a node that was added, and by variables in
 * place of weights.
 */
export class TrainedGraph {
  private forward: {key: string; forward: Forward; gaps: GradientGap[]} | undefined;

  /** @param outputs Names of the outputs to compute. */
  constructor(
    private readonly model: GraphModel,
    private readonly outputs: string[],
  ) {}

  /** The model's upgrade, if it has one. */
  get upgrade(): AdaptedGraphModel | undefined {
    return upgradeOf(this.model) as AdaptedGraphModel | undefined;
  }

  private weightVariables(): [node: string, variable: tf.Variable][] {
    return Object.entries(executorOf(this.model).weightMap).flatMap(([node, tensors]) =>
      tensors
        .filter((tensor): tensor is tf.Variable => tensor instanceof tf.Variable && tensor.trainable)
        .map((variable): [string, tf.Variable] => [node, variable]),
    );
  }

  /** What training changes now: the active adapter, and variables among the graph's weights. */
  get variables(): TrainedVariable[] {
    const sites = [...(this.upgrade?.activeSites.values() ?? [])];
    return [
      ...(addedNode(this.model)?.variables ?? []),
      // LayerVariables of tfjs-layers have all that a TrainedVariable has; their type hides a part of it.
      ...sites.flatMap(({trainable}) => trainable as unknown as TrainedVariable[]),
      ...this.weightVariables().map(([, variable]) => asTrained(variable)),
    ];
  }

  /** The graph in two parts, cut anew whenever something else is trained. */
  parts(): {forward: Forward; gaps: GradientGap[]} {
    const {nodes} = executorOf(this.model).graph;
    const added = addedNode(this.model);
    const sites = [...(this.upgrade?.activeSites.keys() ?? []), ...(added === undefined ? [] : [added.name])];
    const names = [...sites, ...this.weightVariables().map(([node]) => node)];
    const key = names.join('\n');
    if (this.forward?.key === key) return this.forward;
    const forward = new Forward(
      this.model,
      names.map((name) => nodes[name]!),
      this.outputs,
      new Set(sites.map((name): GraphNode => nodes[name]!)),
      this.upgrade?.absorbed,
      this.upgrade?.chains,
    );
    this.forward?.forward.dispose();
    this.forward = {key, forward, gaps: findGaps(executorOf(this.model), forward.cut, forward.replaced)};
    return this.forward;
  }

  /** The outputs of a batch. */
  run(prepared: PreparedBatch, training: boolean): tf.Tensor[] {
    const state = this.upgrade;
    if (state === undefined) return prepared.run();
    const before = state.training;
    state.training = training;
    try {
      return prepared.run();
    } finally {
      state.training = before;
    }
  }

  /** What the routers of the sites have added to the loss, asked for site by site. */
  losses(): (() => tf.Scalar)[] {
    const sites = [...(this.upgrade?.activeSites.values() ?? [])];
    return sites.filter(({hasLoss}) => hasLoss).map((site) => () => site.takeLoss());
  }

  /** A batch runs with its own context, whatever has run in between. */
  async prepare({xs, context}: Pick<GraphBatch, 'xs' | 'context'>): Promise<PreparedBatch> {
    const added = addedNode(this.model);
    added?.begin();
    const front = isInTraining(this.model) ? added?.front : undefined;
    const prepared = await this.parts().forward.prepare(xs, front);
    if (context === undefined) return prepared;
    return {
      run: () => {
        this.upgrade?.context.set(context);
        return prepared.run();
      },
      dispose: () => prepared.dispose(),
    };
  }

  dispose(): void {
    this.forward?.forward.dispose();
    this.forward = undefined;
  }
}
