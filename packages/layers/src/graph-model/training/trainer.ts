import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkOptions} from '@tfjs-peft/routers';
import {headName} from '../../core/io/adapter-file.js';
import {checkIdle, whileTraining} from '../../core/lifecycle/model-lock.js';
import {allWeights} from '../../core/tfjs/model-map.js';
import {disposeOptimizer, renew} from '../../core/tfjs/recompile.js';
import {executorOf, isGraphModel} from '../internals.js';
import type {GraphBatch, GraphData, Source} from './batches.js';
import {asSource, splitSource} from './data-source.js';
import {endpointName} from './endpoint.js';
import {Feed} from './feed.js';
import type {PreparedBatch} from './forward.js';
import {checkHeadNames, HeadedModel} from './headed-model.js';
import type {GraphInputs} from './inputs.js';
import {
  checkEvaluateOptions,
  checkFitOptions,
  classWeights,
  compileArgs,
  type GraphEvaluateOptions,
  type GraphFitOptions,
  type TrainerOptions,
} from './options.js';
import {OutputNames, type OutputSignature} from './output-names.js';
import {Passes} from './passes.js';
import {checkGaps, explain, type GradientGap} from './preflight.js';
import {TrainedGraph} from './trained-graph.js';

type Layer = tfl.layers.Layer;

/**
 * Makes a trainer for the active adapter of a GraphModel, for weights that were replaced by variables, and
 * for new heads.
 *
 * The graph runs in two parts. The part before all trained weights runs first, off the gradient tape, by
 * `executeAsync` if it is dynamic. The rest runs synchronously on the tape. Losses, metrics, callbacks and
 * history are those of tfjs-layers.
 *
 * Import `@tfjs-peft/kernels/gradients` too: many converted models use ops for which tfjs has no correct
 * gradient.
 *
 * @throws ConfigError if the model is not a loaded GraphModel, an option is unknown, or a node is not in the
 * graph.
 * @example
 * ```ts compiled: it loads a model of yours
 * import * as tf from '@tensorflow/tfjs';
 * import '@tfjs-peft/kernels/gradients';
 * import {trainer, upgrade} from '@tfjs-peft/layers/graph';
 *
 * const model = await tf.loadGraphModel('https://example.org/model.json');
 * await upgrade(model, {adapter: {type: 'lora', rank: 8}});
 * const training = trainer(model, {loss: 'categoricalCrossentropy', head: tf.layers.dense({units: 3})});
 * await training.fit({xs: tf.ones([32, 16]), ys: tf.ones([32, 3])}, {epochs: 2});
 * ```
 */
export function trainer(model: GraphModel, options: TrainerOptions = {}): GraphTrainer {
  return new GraphTrainer(model, options);
}

/** A batch after the frozen part of the graph. */
export interface PreparedInputs {
  /** Computes the outputs, after their heads. Synchronous, so gradients can be taken. */
  outputs(training?: boolean): tf.Tensor | tf.Tensor[];
  /** The losses that routers and heads added in the last training call. */
  losses(): tf.Scalar[];
  /** Disposes the computed tensors, but not the inputs. */
  dispose(): void;
}

/**
 * Trains a GraphModel; made by {@link trainer}.
 *
 * @example
 * ```ts compiled: it takes a trainer
 * import * as tf from '@tensorflow/tfjs';
 * import type {GraphTrainer} from '@tfjs-peft/layers/graph';
 *
 * async function train(training: GraphTrainer, xs: tf.Tensor, ys: tf.Tensor) {
 *   if (training.preflight().length > 0) return;
 *   await training.fit({xs, ys}, {epochs: 3, batchSize: 16, validationSplit: 0.1, seed: 1});
 *   training.dispose();
 * }
 * ```
 */
export class GraphTrainer {
  private readonly outputs: string[];
  /** One per output, null for none; or one that takes all outputs. */
  private readonly layers: readonly (Layer | null)[];
  private readonly names: OutputNames;
  private readonly compileArgs: ReturnType<typeof compileArgs>;
  private readonly graph: TrainedGraph;
  private headed: HeadedModel | undefined;
  private fitting = false;
  private compiled: {variables: tf.Variable[]; owned: boolean} | undefined;

  /** Use {@link trainer}. */
  constructor(
    readonly model: GraphModel,
    private readonly options: TrainerOptions,
  ) {
    if (!isGraphModel(model)) {
      throw new ConfigError('trainer: the model must be a GraphModel. Train a LayersModel with its own fit.');
    }
    checkOptions('trainer', options, ['loss', 'optimizer', 'metrics', 'outputs', 'head']);
    executorOf(model);
    const {outputs, head} = options;
    this.outputs = [outputs ?? model.outputNodes].flat();
    this.graph = new TrainedGraph(model, this.outputs);
    this.layers = [head ?? this.outputs.map(() => null)].flat();
    if (Array.isArray(head) && head.length !== this.outputs.length) {
      throw new ConfigError(
        `head: got ${head.length} heads for ${this.outputs.length} outputs. Pass one head per ` +
          'output, or null for an output without a head.',
      );
    }
    checkHeadNames(this.layers);
    const signature = (model.modelSignature ?? {}) as {outputs?: OutputSignature};
    const given = outputs === undefined ? undefined : this.outputs;
    this.names = new OutputNames(this.outputs, given, this.layers, signature.outputs ?? {});
    this.compileArgs = compileArgs(options, this.names);
    this.graph.parts();
    this.attachHeads();
  }

  /** The heads of the outputs, null for none. You dispose them yourself. */
  get heads(): readonly (tfl.layers.Layer | null)[] {
    return this.layers;
  }

  /**
   * Set it to true in a callback to end `fit` after the current batch, as with a LayersModel. While `fit`
   * runs, the GraphModel's own `stopTraining` does the same.
   */
  get stopTraining(): boolean {
    return this.headed?.inner.stopTraining ?? false;
  }

  set stopTraining(stop: boolean) {
    if (this.headed !== undefined) this.headed.inner.stopTraining = stop;
  }

  /**
   * The variables that training changes now: those of the active adapter, of the graph's weights, and of
   * heads that have weights.
   */
  trainableVariables(): tf.Variable[] {
    const heads = this.layers.flatMap((head) => head?.trainableWeights ?? []);
    return [...this.graph.variables, ...heads].map((variable) => variable.read() as tf.Variable);
  }

  /**
   * Names of the tensors that the trained part reads from the frozen part. Compute them once per sample by
   * `model.execute(inputs, names)`; this trainer takes them instead of the inputs.
   */
  get crossing(): string[] {
    return this.graph.parts().forward.cut.crossing.map(endpointName);
  }

  /**
   * Lists the ops through which training needs a gradient but tfjs has none or a wrong one. If the list is
   * empty, the model can be trained.
   *
   * @throws NoGradientError if a dynamic op comes after a trained weight.
   */
  preflight(): GradientGap[] {
    return this.graph.parts().gaps;
  }

  /**
   * Trains on all samples `{xs, ys}`, or on a dataset of batches `{xs, ys}`.
   *
   * @param data Any form of {@link GraphData}. The tensors of a dataset's batches are disposed after use.
   * @returns Losses and metrics by epoch, as from `model.fitDataset`.
   * @throws ConfigError if there is no loss, no batch or nothing to train, an option or a key of a batch is
   * unknown, data that can be used once is needed twice, or the model is already being trained;
   * NoGradientError if an op has no correct gradient.
   */
  async fit(data: GraphData, options: GraphFitOptions = {}): Promise<tfl.History> {
    checkFitOptions(options);
    const {epochs = 1, initialEpoch = 0, batchesPerEpoch, validationData, validationSplit, ...rest} = options;
    const {batchSize, shuffle = true, seed, validationBatchSize = batchSize, classWeight, ...args} = rest;
    const batching = {batchSize, shuffle, seed};
    const {train, validation} =
      validationSplit === undefined
        ? {
            train: asSource(data, batching),
            validation: validationData && asSource(validationData, {batchSize: validationBatchSize}),
          }
        : splitSource(data, validationSplit, batching);
    const several = epochs - initialEpoch > 1;
    if (several && batchesPerEpoch === undefined) checkRunsAgain(train, 'The data');
    if (several && validation !== undefined) checkRunsAgain(validation, 'validationData');
    this.checkTrainable();
    this.checkLoss();
    return whileTraining(this.model, async () => {
      const feed = this.feed(train, 'The dataset');
      const other = validation && this.feed(validation, 'validationData');
      const letGo = this.beStoppable();
      this.fitting = true;
      try {
        await other?.first();
        const inner = await this.compile(await feed.first());
        return await inner.fitDataset(feed.dataset, {
          ...args,
          epochs,
          initialEpoch,
          ...(batchesPerEpoch !== undefined && {batchesPerEpoch}),
          ...(classWeight !== undefined && {classWeight: classWeights(classWeight, this.names)}),
          ...(other !== undefined && {validationData: other.dataset}),
        });
      } catch (error) {
        throw explain(error, this.graph.parts().forward.cut);
      } finally {
        letGo();
        this.fitting = false;
        await Promise.all([feed.end(), other?.end()]);
      }
    });
  }

  /**
   * Computes loss and metrics on some data, by name, without the losses of routers. With several outputs,
   * `loss` is the sum of their losses, and each output has its own `<output>_loss`, as in `fit`.
   *
   * @throws ConfigError if there is no loss or no batch, or an option or a key of a batch is unknown.
   */
  async evaluate(data: GraphData, options: GraphEvaluateOptions = {}): Promise<Record<string, number>> {
    checkEvaluateOptions(options);
    this.checkLoss();
    const {batches, batchSize} = options;
    const feed = this.feed(asSource(data, {batchSize}), 'The dataset');
    try {
      const inner = await this.compile(await feed.first());
      const result = await inner.evaluateDataset(feed.dataset, batches ? {batches} : {});
      const scalars = [result].flat();
      const values = await Promise.all(scalars.map(async (scalar) => (await scalar.data())[0]!));
      tf.dispose(scalars);
      return Object.fromEntries(inner.metricsNames.map((name, i) => [name, values[i]!]));
    } finally {
      await feed.end();
    }
  }

  /**
   * Runs the frozen part of the graph, off any gradient tape: the first half of a step in your own training
   * loop.
   *
   * @param inputs Keep them until the batch is disposed; you dispose them yourself.
   */
  async prepare(inputs: GraphInputs): Promise<PreparedInputs> {
    const prepared = await this.graph.prepare({xs: inputs});
    try {
      const headed = this.build(prepared);
      return {
        outputs: (training = false) => headed.apply(prepared, training),
        losses: () => headed.inner.calculateLosses(),
        dispose: () => prepared.dispose(),
      };
    } catch (error) {
      prepared.dispose();
      throw error;
    }
  }

  /** Computes the outputs, after their heads. You dispose the inputs yourself. */
  async predict(inputs: GraphInputs): Promise<tf.Tensor | tf.Tensor[]> {
    const prepared = await this.prepare(inputs);
    try {
      return prepared.outputs();
    } finally {
      prepared.dispose();
    }
  }

  /**
   * Computes the gradient of a loss with respect to {@link trainableVariables}, for your own training loop.
   * The losses of routers are included. Pass `grads` to `optimizer.applyGradients`.
   *
   * @param fn Returns the loss, a scalar, of the outputs after their heads.
   * @throws ConfigError if there is nothing to train; NoGradientError if an op has no correct gradient.
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
      throw explain(error, this.graph.parts().forward.cut);
    } finally {
      prepared.dispose();
    }
  }

  /**
   * Disposes the optimizer if you gave only its name. You dispose the model and the heads yourself.
   *
   * @throws ConfigError if this trainer is training.
   */
  dispose(): void {
    if (this.fitting) checkIdle(this.model);
    if (this.compiled?.owned) disposeOptimizer(this.headed!.inner.optimizer);
    this.compiled = undefined;
    this.headed = undefined;
    this.graph.dispose();
  }

  private checkTrainable(): void {
    const headless = this.layers.every((head) => head === null);
    if (this.graph.variables.length === 0 && headless) {
      throw new ConfigError('There is nothing to train. Upgrade the model, or pass a head to the trainer.');
    }
    checkGaps(this.graph.parts().gaps);
  }

  private checkLoss(): void {
    if (this.compileArgs === undefined) {
      throw new ConfigError(
        "trainer: fit and evaluate need a loss. Set loss, such as loss: 'meanSquaredError'.",
      );
    }
  }

  /**
   * The graph's outputs and the heads as one LayersModel. The first batch says what shapes the outputs have.
   */
  private build(batch: PreparedBatch): HeadedModel {
    if (this.headed === undefined) {
      const outputs = this.graph.run(batch, false);
      const shapes = outputs.map(({shape}): tfl.Shape => [null, ...shape.slice(1)]);
      tf.dispose(outputs);
      this.headed = new HeadedModel(this.graph, shapes, this.layers, this.names);
    }
    this.attachHeads();
    this.headed.setVariables(this.graph.variables);
    return this.headed;
  }

  /** Makes the heads the active adapter's own. */
  private attachHeads(): void {
    const state = this.graph.upgrade;
    if (state === undefined || state.active === null) return;
    for (const [i, head] of this.layers.entries()) {
      if (head === null || !head.built || this.layers.indexOf(head) !== i) continue;
      state.heads.attach(state.active, headName(this.names.heads[i]!), allWeights(head));
    }
  }

  private async compile(batch: GraphBatch): Promise<tfl.LayersModel> {
    const prepared = await this.graph.prepare(batch);
    let inner: tfl.LayersModel;
    try {
      inner = this.build(prepared).inner;
    } finally {
      prepared.dispose();
    }
    const variables = this.trainableVariables();
    const before = this.compiled?.variables;
    if (before?.length === variables.length && before.every((variable, i) => variable === variables[i])) {
      return inner;
    }
    const {optimizer = 'adam'} = this.options;
    const old = inner.optimizer;
    const next = this.compiled === undefined ? optimizer : renew(old, inner);
    inner.compile({optimizer: next, ...this.compileArgs!});
    if (this.compiled?.owned) disposeOptimizer(old);
    this.compiled = {variables, owned: next !== optimizer || typeof next === 'string'};
    return inner;
  }

  private feed(source: Source, what: string): Feed {
    return new Feed(new Passes(source, what), {
      names: this.names,
      prepare: (batch) => this.graph.prepare(batch),
      keyOf: (prepared, rows) => this.headed!.keyOf(prepared, rows),
      weigh: (targets, weights) => this.headed!.inner.weigh(targets, weights),
    });
  }

  /** Lets the model's own `stopTraining` be set, as in `fit` of a LayersModel. */
  private beStoppable(): () => void {
    Object.defineProperty(this.model, 'stopTraining', {
      configurable: true,
      get: () => this.stopTraining,
      set: (stop: boolean) => {
        this.stopTraining = stop;
      },
    });
    return () => delete (this.model as {stopTraining?: boolean}).stopTraining;
  }
}

function checkRunsAgain({once}: Source, what: string): void {
  if (!once) return;
  throw new ConfigError(
    `${what} is an iterator, which cannot be used again for a second epoch. Pass the function ` +
      'that creates it; it is called for each epoch.',
  );
}
