import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, NoGradientError} from '@tfjs-peft/kernels';
import type {SiteStage} from '../core/sites/run-site.js';
import {inShapeOfSum} from './columns.js';
import {executorOf, type GraphNode, type RunningExecutor} from './internals.js';
import type {NodeSite} from './sites/node-site.js';
import {type Cut, cutGraph} from './training/cut.js';
import {type Endpoint, endpointName, inputOf, parseEndpoint} from './training/endpoint.js';
import {type NodePlan, PlainPlan} from './training/execution-plan.js';
import {namedInputs} from './training/inputs.js';
import {TrainableSubgraph} from './training/trainable-subgraph.js';

/** The nodes of a site, from its product to the last whose work it does, each as it is in the model. */
export interface Chain {
  node: GraphNode;
  /** All but the last, which gives the site's output. */
  inner: ReadonlySet<GraphNode>;
  /** What each computes by itself, except for those that only reshape. */
  stages: ReadonlyMap<GraphNode, NodePlan>;
}

/** The nodes of a site but for the last, which gives its output. */
export function innerNodes(node: GraphNode, {absorbed}: NodeSite): Set<GraphNode> {
  const inner = new Set<GraphNode>();
  let at = node;
  for (const {node: behind, input} of absorbed) {
    for (let passed = inputOf(behind, input).node; passed !== at; passed = passed.inputs[0]!)
      inner.add(passed);
    inner.add(at);
    at = behind;
  }
  return inner;
}

/** @param run The site's output of its node's inputs, or what comes before. */
export function chainOf(
  node: GraphNode,
  site: NodeSite,
  run: (inputs: tf.Tensor[], until?: SiteStage) => tf.Tensor,
): Chain {
  const {absorbed} = site;
  const own = node.inputs.map((_, i) => inputOf(node, i));
  const inner = innerNodes(node, site);
  const stages = new Map<GraphNode, NodePlan>();
  if (absorbed.length === 0) return {node, inner, stages};
  stages.set(node, {inputs: own, run: (inputs) => run(inputs, 'product')});
  for (const [i, {node: behind, input, sum}] of absorbed.entries()) {
    const before = inputOf(behind, input);
    const until = i < absorbed.length - 1 ? 'bias' : undefined;
    stages.set(behind, {
      inputs: [...own, before],
      run: (inputs) => {
        const y = tf.reshape(run(inputs.slice(0, -1), until), inputs.at(-1)!.shape);
        return sum === undefined ? y : inShapeOfSum(y, sum, behind.name);
      },
    });
  }
  return {node, inner, stages};
}

/** Runs each node by itself, also those of some sites. */
class StagedPlan extends PlainPlan {
  constructor(
    cut: Cut,
    private readonly stages: ReadonlyMap<GraphNode, NodePlan>,
  ) {
    super(cut);
  }

  override of(node: GraphNode): NodePlan {
    return this.stages.get(node) ?? super.of(node);
  }
}

/** A run that asks for a node within a site. */
interface Probe {
  cut: Cut;
  subgraph: TrainableSubgraph;
}

/**
 * Runs of a model that ask for nodes within a site, such as the input of an activation. Such a run does the
 * site's work node by node, in a copy of the graph from the site on. All other runs are as before.
 */
export class Probes {
  private readonly executor: RunningExecutor;
  private readonly known = new Map<string, Probe>();
  private chains = new Map<GraphNode, Chain>();

  constructor(private readonly model: GraphModel) {
    this.executor = executorOf(model) as RunningExecutor;
  }

  /** Watches these sites, and none that it watched before. */
  watch(chains: readonly Chain[]): void {
    this.clear();
    const inner = chains.flatMap((chain) =>
      [...chain.inner].map((node): [GraphNode, Chain] => [node, chain]),
    );
    if (inner.length === 0) return;
    this.chains = new Map(inner);
    const {executor} = this;
    const {execute, executeAsync} = executor;
    executor.execute = (inputs, outputs) => {
      const probe = this.probeOf(outputs);
      if (probe === undefined) return execute.call(executor, inputs, outputs);
      return tf.tidy(() => {
        const front = this.frontOf(probe, inputs);
        const names = front.map(endpointName);
        return this.finish(
          probe,
          inputs,
          front,
          names.length > 0 ? execute.call(executor, inputs, names) : [],
        );
      });
    };
    executor.executeAsync = async (inputs, outputs) => {
      const probe = this.probeOf(outputs);
      if (probe === undefined) return executeAsync.call(executor, inputs, outputs);
      const front = this.frontOf(probe, inputs);
      const names = front.map(endpointName);
      const computed = names.length > 0 ? await executeAsync.call(executor, inputs, names) : [];
      const results = tf.tidy(() => this.finish(probe, inputs, front, computed));
      const given = new Set(Object.values(inputs));
      tf.dispose(computed.filter((tensor) => !given.has(tensor)));
      return results;
    };
  }

  clear(): void {
    const executor: Partial<RunningExecutor> = this.executor;
    if (this.chains.size > 0) {
      delete executor.execute;
      delete executor.executeAsync;
    }
    for (const {subgraph} of this.known.values()) subgraph.dispose();
    this.known.clear();
    this.chains = new Map();
  }

  /** @throws ConfigError if control flow comes behind what is asked for. */
  private probeOf(outputs: readonly string[] | undefined): Probe | undefined {
    const endpoints = (outputs ?? []).map((name) => this.endpointOf(name));
    const probed = new Set(
      endpoints.flatMap((endpoint) => this.chains.get(endpoint?.node as GraphNode) ?? []),
    );
    if (probed.size === 0 || endpoints.includes(undefined)) return undefined;
    const key = outputs!.join('\n');
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const cut = this.cut([...probed], endpoints as Endpoint[]);
    const stages = new Map([...probed].flatMap((chain) => [...chain.stages]));
    const probe = {cut, subgraph: new TrainableSubgraph(this.executor, cut, new StagedPlan(cut, stages))};
    this.known.set(key, probe);
    return probe;
  }

  private cut(probed: readonly Chain[], endpoints: Endpoint[]): Cut {
    try {
      return cutGraph(
        this.executor,
        probed.map(({node}) => node),
        endpoints,
      );
    } catch (error) {
      if (!(error instanceof NoGradientError)) throw error;
      const names = probed.map(({node}) => `'${node.name}'`).join(', ');
      throw new ConfigError(
        `Nodes inside the sites at ${names} cannot be computed in the same call as outputs ` +
          'after control flow. Compute them in a separate call.',
        {cause: error},
      );
    }
  }

  private endpointOf(name: string): Endpoint | undefined {
    const {outputs} = (this.model.modelSignature ?? {}) as {outputs?: Record<string, {name?: string}>};
    const [path, index] = parseEndpoint(outputs?.[name]?.name ?? name);
    const node = this.executor.graph.nodes[path];
    return node && {node, index};
  }

  /** What has to be computed before the copy can run. */
  private frontOf({cut}: Probe, inputs: tf.NamedTensorMap): Endpoint[] {
    const given = namedInputs(this.model, inputs);
    return cut.crossing.filter(({node, index}) => index !== 0 || given[node.name] === undefined);
  }

  private finish(
    {cut, subgraph}: Probe,
    inputs: tf.NamedTensorMap,
    front: readonly Endpoint[],
    computed: readonly tf.Tensor[],
  ): tf.Tensor[] {
    const given = namedInputs(this.model, inputs);
    const byName = new Map(front.map((endpoint, i) => [endpointName(endpoint), computed[i]!]));
    const tensorOf = (endpoint: Endpoint): tf.Tensor =>
      byName.get(endpointName(endpoint)) ??
      given[endpoint.node.name] ??
      this.executor.weightMap[endpoint.node.name]![endpoint.index]!;
    const behind = subgraph.run(cut.crossing.map(tensorOf));
    let next = 0;
    return cut.outputs.map((endpoint) =>
      cut.trainable.has(endpoint.node) ? behind[next++]! : tf.clone(tensorOf(endpoint)),
    );
  }
}
