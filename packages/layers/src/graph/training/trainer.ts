import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';
import {Peft} from '../../lifecycle/peft.js';
import {disposeOptimizer, renew} from '../../lifecycle/recompile.js';
import {checkIdle, whileTraining} from '../../lifecycle/training-lock.js';
import type {GraphState} from '../graph-state.js';
import {executorOf, type GraphNode, isGraphModel} from '../internals.js';
import {
  asDataset,
  type Batching,
  disposeBatch,
  firstBatch,
  type GraphBatch,
  type GraphData,
} from './batches.js';
import {endpointName} from './endpoint.js';
import {Forward, type GraphInputs, type PreparedBatch} from './forward.js';
import {asTrained, GraphLayer, type TrainedVariable} from './graph-layer.js';
import {FIT_OPTIONS, type GraphFitOptions, type TrainerOptions} from './options.js';
import {checkGaps, explain, findGaps, type GradientGap} from './preflight.js';

type Layer = tfl.layers.Layer;

/**
 * Trains what a GraphModel carries: the active adapter of its upgrade, weights that were replaced by variables, and new heads.
 *
 * The graph runs in two parts. What trained weights cannot change runs first, off the gradient tape, by `executeAsync` where the graph
 * is dynamic there; the rest runs synchronously on the tape. Losses, metrics, callbacks and history are those of tfjs-layers.
 *
 * Import `@tfjs-peft/kernels/gradients` too: without it tfjs has no right gradient of many converted models.
 *
 * @throws ConfigError if the model is no loaded GraphModel, an option is unknown, or a node is not in the graph.
 */
export function trainer(model: GraphModel, options: TrainerOptions = {}): GraphTrainer {
  return new GraphTrainer(model, options);
}

/** A batch that went through what trained weights cannot change. */
export interface PreparedInputs {
  /** The outputs behind their heads: synchronous, so that a gradient can be taken. */
  outputs(training?: boolean): tf.Tensor | tf.Tensor[];
  /** What routers and heads have added to the loss in the last call that was training. */
  losses(): tf.Scalar[];
  /** Gives back what was computed; not the inputs. */
  dispose(): void;
}

/** What {@link trainer} makes. */
export class GraphTrainer {
  private readonly outputs: string[];
  private readonly heads: (Layer | null)[];
  /** Heads that came without weights, which therefore go with the trainer. */
  private readonly ownHeads: Layer[];
  private forward: {key: string; forward: Forward; gaps: GradientGap[]} | undefined;
  private layer: GraphLayer | undefined;
  private inner: tfl.LayersModel | undefined;
  private compiled: {variables: tf.Variable[]; owned: boolean} | undefined;
  private current: PreparedBatch | undefined;

  /** Use {@link trainer}. */
  constructor(
    readonly model: GraphModel,
    private readonly options: TrainerOptions,
  ) {
    if (!isGraphModel(model)) {
      throw new ConfigError('trainer takes a GraphModel. A LayersModel is trained by its own fit.');
    }
    checkOptions('trainer', options, ['loss', 'optimizer', 'metrics', 'outputs', 'head']);
    executorOf(model);
    const {outputs = model.outputNodes, head} = options;
    this.outputs = [outputs].flat();
    this.heads = [head ?? this.outputs.map(() => null)].flat();
    if (Array.isArray(head) && head.length !== this.outputs.length) {
      throw new ConfigError(
        `head: ${head.length} heads for ${this.outputs.length} outputs. Give one for each, null to leave an output as it is.`,
      );
    }
    this.ownHeads = this.heads.filter((layer) => layer !== null && !layer.built) as Layer[];
    this.parts();
  }

  /** What training changes now: the active adapter, variables among the graph's weights, and heads as far as they have weights yet. */
  trainableVariables(): tf.Variable[] {
    const heads = this.heads.flatMap((head) => head?.trainableWeights ?? []);
    return [...this.graphVariables(), ...heads].map((variable) => variable.read() as tf.Variable);
  }

  /**
   * Names of the tensors that what is trained takes from the frozen part. Computed once for each sample, by `model.execute(inputs,
   * names)`, they can be fed in place of the inputs wherever this trainer takes some.
   */
  get crossing(): string[] {
    return this.parts().forward.cut.crossing.map(endpointName);
  }

  /**
   * The ops through which a gradient has to flow now, but does not, or not right. Empty: the model can be trained.
   *
   * @throws NoGradientError if a dynamic op comes behind what is trained.
   */
  preflight(): GradientGap[] {
    return this.parts().gaps;
  }

  /**
   * Trains.
   *
   * @param data A dataset of batches `{xs, ys}`, whose tensors are disposed when they were used; or `{xs, ys}` with all samples.
   * @returns Losses and metrics by epoch, as `model.fitDataset` gives them.
   * @throws ConfigError if there is no loss, nothing to train, or an option is unknown, or the model is being trained;
   * NoGradientError if no right gradient flows.
   */
  async fit(data: GraphData, options: GraphFitOptions = {}): Promise<tfl.History> {
    checkOptions('fit', options, FIT_OPTIONS);
    const {validationData, batchSize, shuffle = true, seed, ...args} = options;
    const source = asDataset(data, {batchSize, shuffle, seed} as Batching);
    return whileTraining(this.model, () => this.train(source, validationData, batchSize, args));
  }

  private async train(
    source: ReturnType<typeof asDataset>,
    validationData: GraphData | undefined,
    batchSize: number | undefined,
    args: Omit<GraphFitOptions, 'validationData' | 'batchSize'>,
  ): Promise<tfl.History> {
    this.checkTrainable();
    const inner = await this.compile(() => firstBatch(source));
    const train = this.dataset(source);
    const validation = validationData && this.dataset(asDataset(validationData, {batchSize} as Batching));
    try {
      return await inner.fitDataset(train.dataset as never, {
        epochs: 1,
        ...args,
        ...(validation && {validationData: validation.dataset as never}),
      });
    } catch (error) {
      throw explain(error, this.parts().forward.cut);
    } finally {
      train.end();
      validation?.end();
    }
  }

  /**
   * Loss and metrics on some data, by their names, without what routers add to the loss.
   *
   * @throws ConfigError if there is no loss.
   */
  async evaluate(
    data: GraphData,
    {batches, ...batching}: Batching & {batches?: number} = {},
  ): Promise<Record<string, number>> {
    checkOptions('evaluate', batching, ['batchSize']);
    const source = asDataset(data, batching);
    const inner = await this.compile(() => firstBatch(source));
    const own = this.dataset(source);
    try {
      const result = await inner.evaluateDataset(own.dataset as never, {...(batches && {batches})} as never);
      const scalars = [result].flat();
      const values = await Promise.all(scalars.map(async (scalar) => (await scalar.data())[0]!));
      tf.dispose(scalars);
      return Object.fromEntries(inner.metricsNames.map((name, i) => [name, values[i]!]));
    } finally {
      own.end();
    }
  }

  /**
   * Runs what trained weights cannot change, off any gradient tape: the first half of a step of one's own.
   *
   * @param inputs They stay the caller's, who keeps them until the batch is disposed.
   */
  async prepare(inputs: GraphInputs): Promise<PreparedInputs> {
    const prepared = await this.prepareBatch({xs: inputs});
    const inner = await this.build(async () => prepared);
    return {
      outputs: (training = false) => {
        const before = this.current;
        this.current = prepared;
        try {
          return tf.tidy(() => inner.apply(tf.ones([1, 1]), {training}) as tf.Tensor | tf.Tensor[]);
        } finally {
          this.current = before;
        }
      },
      losses: () => inner.calculateLosses(),
      dispose: () => prepared.dispose(),
    };
  }

  /** The outputs, behind their heads. The inputs stay the caller's. */
  async predict(inputs: GraphInputs): Promise<tf.Tensor | tf.Tensor[]> {
    const prepared = await this.prepare(inputs);
    try {
      return prepared.outputs();
    } finally {
      prepared.dispose();
    }
  }

  /**
   * The gradient of a loss with respect to {@link trainableVariables}, for loops of one's own; what routers add to the loss is in it.
   * `optimizer.applyGradients(grads)` takes it as it is.
   *
   * @param fn The loss, a scalar, of the outputs behind their heads.
   * @throws ConfigError if there is nothing to train; NoGradientError if no right gradient flows.
   */
  async gradients(
    inputs: GraphInputs,
    fn: (outputs: tf.Tensor | tf.Tensor[]) => tf.Scalar,
  ): Promise<{value: tf.Scalar; grads: tf.NamedTensorMap}> {
    this.checkTrainable();
    const prepared = await this.prepare(inputs);
    try {
      return tf.variableGrads(() => {
        const loss = fn(prepared.outputs(true));
        return tf.addN([loss, ...prepared.losses()]) as tf.Scalar;
      }, this.trainableVariables());
    } catch (error) {
      throw explain(error, this.parts().forward.cut);
    } finally {
      prepared.dispose();
    }
  }

  /**
   * Gives back the optimizer, if it was named and not given, and the heads that came without weights. The model is the caller's.
   *
   * @throws ConfigError if the model is being trained.
   */
  dispose(): void {
    checkIdle(this.model);
    if (this.compiled?.owned) disposeOptimizer(this.inner!.optimizer);
    for (const head of this.ownHeads) if (head.built) head.dispose();
    this.compiled = undefined;
    this.inner = undefined;
    this.forward?.forward.dispose();
    this.forward = undefined;
  }

  private graphState(): GraphState | undefined {
    return Peft.upgradeOf(this.model) as GraphState | undefined;
  }

  private weightVariables(): [node: string, variable: tf.Variable][] {
    return Object.entries(executorOf(this.model).weightMap).flatMap(([node, tensors]) =>
      tensors
        .filter((tensor): tensor is tf.Variable => tensor instanceof tf.Variable && tensor.trainable)
        .map((variable): [string, tf.Variable] => [node, variable]),
    );
  }

  private graphVariables(): TrainedVariable[] {
    const sites = [...(this.graphState()?.activeSites.values() ?? [])];
    return [
      ...sites.flatMap(({trainable}) => trainable as unknown as TrainedVariable[]),
      ...this.weightVariables().map(([, variable]) => asTrained(variable)),
    ];
  }

  /** The graph in two parts, cut anew whenever something else is trained. */
  private parts(): {forward: Forward; gaps: GradientGap[]} {
    const {nodes} = executorOf(this.model).graph;
    const sites = [...(this.graphState()?.activeSites.keys() ?? [])];
    const names = [...sites, ...this.weightVariables().map(([node]) => node)];
    const key = names.join('\n');
    if (this.forward?.key === key) return this.forward;
    const forward = new Forward(
      this.model,
      names.map((name) => nodes[name]!),
      this.outputs,
      new Set(sites.map((name): GraphNode => nodes[name]!)),
      this.graphState()?.absorbed,
    );
    this.forward?.forward.dispose();
    this.forward = {key, forward, gaps: findGaps(forward.cut, forward.replaced)};
    return this.forward;
  }

  private checkTrainable(): void {
    const headless = this.heads.every((head) => head === null);
    if (this.graphVariables().length === 0 && headless) {
      throw new ConfigError('There is nothing to train. Upgrade the model, or give the trainer a head.');
    }
    checkGaps(this.parts().gaps);
  }

  private run(training: boolean): tf.Tensor[] {
    const state = this.graphState();
    if (state === undefined) return this.current!.run();
    const before = state.training;
    state.training = training;
    try {
      return this.current!.run();
    } finally {
      state.training = before;
    }
  }

  private losses(): (() => tf.Scalar)[] {
    const sites = [...(this.graphState()?.activeSites.values() ?? [])];
    return sites.filter(({hasLoss}) => hasLoss).map((site) => () => site.takeLoss());
  }

  /** The graph's outputs and the heads as one LayersModel. The first batch says what shapes the outputs have. */
  private async build(batch: () => Promise<PreparedBatch>): Promise<tfl.LayersModel> {
    if (this.inner === undefined) {
      const before = this.current;
      this.current = await batch();
      const outputs = this.run(false);
      this.current = before;
      tf.dispose(outputs);
      const shapes = outputs.map(({shape}): tfl.Shape => [null, ...shape.slice(1)]);
      this.layer = new GraphLayer(
        {run: (training) => this.run(training), losses: () => this.losses()},
        shapes,
      );
      const samples = tfl.input({shape: [1]});
      const behind = [this.layer.apply(samples)].flat() as tfl.SymbolicTensor[];
      const groups = this.heads.length === behind.length ? behind.map((output) => [output]) : [behind];
      const ends = groups.flatMap((group, i) => {
        const end = this.heads[i]?.apply(group.length === 1 ? group[0]! : group) ?? group;
        return end as tfl.SymbolicTensor | tfl.SymbolicTensor[];
      });
      this.inner = tfl.model({inputs: samples, outputs: ends});
    }
    this.layer!.setVariables(this.graphVariables());
    return this.inner;
  }

  private async compile(first: () => Promise<GraphBatch>): Promise<tfl.LayersModel> {
    const {loss, optimizer = 'adam', metrics = []} = this.options;
    if (loss === undefined) throw new ConfigError('trainer: give it a loss, as model.compile takes it.');
    let batch: GraphBatch | undefined;
    let prepared: PreparedBatch | undefined;
    const inner = await this.build(async () => {
      batch = await first();
      prepared = await this.prepareBatch(batch);
      return prepared;
    }).finally(() => {
      prepared?.dispose();
      if (batch !== undefined) disposeBatch(batch);
    });
    const variables = this.trainableVariables();
    const before = this.compiled?.variables;
    if (before?.length === variables.length && before.every((variable, i) => variable === variables[i])) {
      return inner;
    }
    const old = inner.optimizer;
    const next = this.compiled === undefined ? optimizer : renew(old, inner);
    inner.compile({optimizer: next, loss, metrics});
    if (this.compiled?.owned) disposeOptimizer(old);
    this.compiled = {variables, owned: next !== this.options.optimizer || typeof next === 'string'};
    return inner;
  }

  private prepareBatch({xs, context}: Pick<GraphBatch, 'xs' | 'context'>): Promise<PreparedBatch> {
    if (context !== undefined) this.graphState()?.context.set(context);
    return this.parts().forward.prepare(xs);
  }

  /** A dataset as the inner model takes it: each batch is prepared before it is handed on, and is then the one that runs. */
  private dataset(source: ReturnType<typeof asDataset>): {dataset: object; end(): void} {
    let last: {prepared: PreparedBatch; xs: GraphInputs} | undefined;
    const release = () => {
      if (last === undefined) return;
      last.prepared.dispose();
      tf.dispose(last.xs);
      if (this.current === last.prepared) this.current = undefined;
      last = undefined;
    };
    const next = async (iterator: Awaited<ReturnType<typeof source.iterator>>) => {
      release();
      const {done, value} = await iterator.next();
      if (value === undefined) return {done: true, value: null};
      const prepared = await this.prepareBatch(value as GraphBatch);
      const {xs, ys} = value as GraphBatch;
      last = {prepared, xs};
      this.current = prepared;
      const target = ys instanceof tf.Tensor ? ys : Object.values(ys)[0]!;
      return {done, value: {xs: tf.ones([target.shape[0]!, 1]), ys}};
    };
    return {
      dataset: {
        size: source.size ?? null,
        iterator: async () => {
          const iterator = await source.iterator();
          return {next: () => next(iterator)};
        },
      },
      end: release,
    };
  }
}
