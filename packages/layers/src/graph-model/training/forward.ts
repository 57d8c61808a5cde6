import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {own} from '../../core/io/json.js';
import type {RunFront} from '../added-node.js';
import {type Executor, executorOf, type GraphNode} from '../internals.js';
import type {Chain} from '../probes.js';
import {type Cut, cutGraph, findEndpoint} from './cut.js';
import {type Endpoint, endpointName} from './endpoint.js';
import {FusedPlan, PlainPlan} from './execution-plan.js';
import {type GraphInputs, namedInputs} from './inputs.js';
import {TrainableSubgraph} from './trainable-subgraph.js';

/** A batch that went through the frozen part of a graph. */
export interface PreparedBatch {
  /** The outputs: synchronous, so that a gradient can be taken. The caller, or a tidy, disposes them. */
  run(): tf.Tensor[];
  /** Disposes what the frozen part computed, but not the inputs. */
  dispose(): void;
}

/** Runs a graph in two parts, see {@link cutGraph}. */
export class Forward {
  readonly cut: Cut;
  private readonly executor: Executor;
  private readonly fused: FusedPlan;
  private readonly subgraph: TrainableSubgraph;
  /** Runs while the adapter that was active when the graph was cut is not active. */
  private plain: TrainableSubgraph | undefined;
  private disposed = false;

  /**
   * @param sources Nodes whose output changes with what is trained.
   * @param outputs Names of nodes, or of outputs of the signature.
   * @param sites Those of them that an adapter is active at.
   * @param absorbed Nodes whose work a site does, and which of their inputs they hand on.
   * @param chains The sites node by node: of one within which an output lies, each does its own work.
   * @throws ConfigError if there is no such node; NoGradientError if a dynamic
   * op comes behind what is trained.
   */
  constructor(
    private readonly model: GraphModel,
    sources: readonly GraphNode[],
    outputs: readonly string[],
    sites: ReadonlySet<GraphNode> = new Set(),
    absorbed: ReadonlyMap<GraphNode, number> = new Map(),
    chains: readonly Chain[] = [],
  ) {
    this.executor = executorOf(model);
    const endpoints = outputs.map((name) => findEndpoint(this.executor, name, model.modelSignature));
    this.cut = cutGraph(this.executor, sources, endpoints);
    const visible = new Set(endpoints.map(({node}) => node));
    const probed = chains.filter(({inner}) => [...inner].some((node) => visible.has(node)));
    const stages = new Map(probed.flatMap((chain) => [...chain.stages]));
    const left = new Map([...absorbed].filter(([node]) => !stages.has(node)));
    this.fused = new FusedPlan(this.executor, this.cut, sites, left, stages);
    this.subgraph = new TrainableSubgraph(this.executor, this.cut, this.fused);
  }

  /** Nodes that run other code than their op's, or none. */
  get replaced(): ReadonlySet<GraphNode> {
    return this.fused.replaced;
  }

  /**
   * Runs the frozen part, by `executeAsync` where it must.
   *
   * @param front Runs it in its own way.
   * @throws ConfigError if an input is missing or unknown; what tfjs throws if the graph does not take it.
   */
  async prepare(inputs: GraphInputs, front?: RunFront): Promise<PreparedBatch> {
    const named = namedInputs(this.model, inputs);
    const {cut} = this;
    await this.fused.prepare();
    const given = ({node, index}: Endpoint) => (index === 0 ? own(named, node.name) : undefined);
    const computed = cut.crossing.filter((endpoint) => given(endpoint) === undefined);
    const names = computed.map(endpointName);
    const run = (given: tf.NamedTensorMap) => this.runFront(given, names);
    const results = await (front === undefined || names.length === 0 ? run(named) : front(named, names, run));
    const byName = new Map(computed.map((endpoint, i) => [endpointName(endpoint), results[i]!]));
    const tensorOf = (endpoint: Endpoint) =>
      given(endpoint) ??
      byName.get(endpointName(endpoint)) ??
      own(this.executor.weightMap, endpoint.node.name)?.[endpoint.index];
    const crossing = cut.crossing.map((endpoint) => tensorOf(endpoint)!);
    const foreign = new Set([...Object.values(named), ...Object.values(this.executor.weightMap).flat()]);
    return {
      run: () => {
        const behind = this.currentSubgraph().run(crossing);
        let next = 0;
        return cut.outputs.map((endpoint) =>
          cut.trainable.has(endpoint.node) ? behind[next++]! : tf.clone(tensorOf(endpoint)!),
        );
      },
      dispose: () => {
        for (const tensor of results) if (!foreign.has(tensor)) tensor.dispose();
      },
    };
  }

  dispose(): void {
    this.subgraph.dispose();
    this.plain?.dispose();
    this.disposed = true;
  }

  private currentSubgraph(): TrainableSubgraph {
    if (this.disposed) {
      throw new ConfigError(
        'The batch was prepared by a disposed trainer, or before the trained sites changed. ' +
          'Prepare it again.',
      );
    }
    if (this.fused.hold) return this.subgraph;
    this.plain ??= new TrainableSubgraph(this.executor, this.cut, new PlainPlan(this.cut));
    return this.plain;
  }

  private async runFront(inputs: tf.NamedTensorMap, outputs: string[]): Promise<tf.Tensor[]> {
    if (outputs.length === 0) return [];
    const result = this.cut.dynamic
      ? await this.model.executeAsync(inputs, outputs)
      : this.model.execute(inputs, outputs);
    return Array.isArray(result) ? result : [result];
  }
}
