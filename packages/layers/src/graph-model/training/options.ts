import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkInteger, checkOptions} from '@tfjs-peft/routers';
import type {Batching, GraphData} from './batches.js';
import type {OutputNames} from './output-names.js';

type Metric = Exclude<tfl.ModelCompileArgs['metrics'], unknown[] | Record<string, unknown>>;
/** Weight in the loss of the samples of each class, by the number of the class. */
export type ClassWeight = Record<number, number>;

/** Options of {@link trainer}: those of `compile`, and the outputs and heads to train. */
export interface TrainerOptions {
  /**
   * As in `model.compile`: one loss for all outputs, a list, or an object by the outputs' names. `fit` needs
   * it; `gradients` works without, on any function of the outputs.
   */
  loss?: tfl.ModelCompileArgs['loss'];
  /** As in `model.compile`: a name, or an optimizer, which you dispose yourself. Default `'adam'`. */
  optimizer?: string | tf.Optimizer;
  /** As in `model.compile`: metrics for all outputs, or an object by the outputs' names. */
  metrics?: tfl.ModelCompileArgs['metrics'];
  /**
   * Nodes to compute, also inside the graph; `name:1` is a node's second output; or names of outputs in the
   * model's signature. Default: the model's outputs. Options by output and histories use these names, or the
   * signature's for the model's own outputs, or the name of the head of an output.
   */
  outputs?: string | string[];
  /**
   * A layer or LayersModel to apply to the output. With several outputs: one that takes all of them, or a
   * list with one per output, null for none. Its trainable weights are trained. A layer without weights gets
   * them at the first batch. The values belong to the active adapter, which saves and restores them; you
   * dispose the layer yourself.
   */
  head?: tfl.layers.Layer | (tfl.layers.Layer | null)[];
}

/**
 * Options of {@link GraphTrainer.fit}: those of `model.fitDataset`, and for arrays those of {@link Batching}.
 */
export interface GraphFitOptions extends Batching {
  /** Default 1. */
  epochs?: number;
  initialEpoch?: number;
  /**
   * Batches per epoch; all epochs then make one pass over the data together. Default: each epoch is one pass.
   */
  batchesPerEpoch?: number;
  /** Data to evaluate after each epoch; its figures are named `val_<figure>`. */
  validationData?: GraphData;
  /**
   * For arrays: fraction of the samples to use for validation, the last ones before any shuffling. Excludes
   * `validationData`.
   */
  validationSplit?: number;
  /** Batches to evaluate after each epoch. Default: all. */
  validationBatches?: number;
  /** For arrays in `validationData`: samples per batch. Default: `batchSize`. */
  validationBatchSize?: number;
  /** As in `model.fit`. A callback can stop training by setting the trainer's `stopTraining`. */
  callbacks?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['callbacks'];
  /** With 1, tfjs-layers prints the progress to the console. Default 1. */
  verbose?: 0 | 1;
  /**
   * Weight in the loss of the samples of each class: for the only output, a list by output, or an object by
   * the outputs' names.
   */
  classWeight?: ClassWeight | ClassWeight[] | Record<string, ClassWeight>;
  yieldEvery?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['yieldEvery'];
}

/** Options of {@link GraphTrainer.evaluate}. */
export interface GraphEvaluateOptions {
  /** For arrays: samples per batch. Default 32. */
  batchSize?: number;
  /** Batches to evaluate. Default: all. */
  batches?: number;
}

const FIT_OPTIONS = [
  'epochs',
  'initialEpoch',
  'batchesPerEpoch',
  'validationData',
  'validationSplit',
  'validationBatches',
  'validationBatchSize',
  'callbacks',
  'verbose',
  'classWeight',
  'yieldEvery',
  'batchSize',
  'shuffle',
  'seed',
] as const;

/** @throws ConfigError if an option is unknown or out of range, or excludes another. */
export function checkFitOptions(options: GraphFitOptions): void {
  checkOptions('fit', options, FIT_OPTIONS);
  const {initialEpoch, validationData, validationSplit} = options;
  checkInteger('fit', 'initialEpoch', initialEpoch, {min: 0, fallback: 0});
  for (const option of [
    'epochs',
    'batchesPerEpoch',
    'validationBatches',
    'validationBatchSize',
    'batchSize',
  ] as const) {
    if (options[option] !== undefined) checkInteger('fit', option, options[option]);
  }
  if (validationData !== undefined && validationSplit !== undefined) {
    throw new ConfigError('fit: validationData and validationSplit are both set. Set only one of them.');
  }
}

/** @throws ConfigError if an option is unknown or out of range. */
export function checkEvaluateOptions(options: GraphEvaluateOptions): void {
  checkOptions('evaluate', options, ['batchSize', 'batches']);
  for (const option of ['batchSize', 'batches'] as const) {
    if (options[option] !== undefined) checkInteger('evaluate', option, options[option]);
  }
}

/**
 * Loss and metrics as `compile` takes them of a model whose outputs have these names.
 *
 * @throws ConfigError if an output is unknown, or has no loss.
 */
export function compileArgs(
  {loss, metrics = []}: TrainerOptions,
  names: OutputNames,
): Pick<tfl.ModelCompileArgs, 'loss' | 'metrics'> | undefined {
  if (loss === undefined) return undefined;
  type Loss = string;
  const isLoss = (value: unknown) => typeof value === 'string' || typeof value === 'function';
  const losses = names.list<Loss>('loss', loss as Loss | Loss[], isLoss, {shared: true}) as Loss[];
  if (typeof metrics !== 'object' || Array.isArray(metrics)) return {loss: losses, metrics};
  const listed = names.list<Metric>('metrics', metrics as Record<string, Metric>, () => false, {
    partial: true,
  });
  const byName = names.names.map((name, i) => [name, listed[i] ?? []] as const);
  return {loss: losses, metrics: Object.fromEntries(byName) as tfl.ModelCompileArgs['metrics']};
}

/**
 * Class weights, one for each output.
 *
 * @throws ConfigError if an output is unknown, or it is not said which output they are for.
 */
export function classWeights(
  given: NonNullable<GraphFitOptions['classWeight']>,
  names: OutputNames,
): ClassWeight[] {
  const isWeight = (value: unknown) =>
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((each) => typeof each === 'number');
  const listed = names.list<ClassWeight>('classWeight', given as ClassWeight, isWeight, {partial: true});
  // tfjs-layers takes null for an output without class weights, though its types do not say so.
  return listed.map((weight) => weight ?? null) as ClassWeight[];
}
