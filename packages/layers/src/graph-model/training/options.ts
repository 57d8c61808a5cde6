import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkInteger, checkOptions} from '@tfjs-peft/routers';
import type {Batching, GraphData} from './batches.js';
import type {OutputNames} from './output-names.js';

type Layer = tfl.layers.Layer;
type Metric = Exclude<tfl.ModelCompileArgs['metrics'], unknown[] | Record<string, unknown>>;
type ClassWeight = Record<number, number>;

/** Options of {@link trainer}: those of `compile`, and what comes behind the graph. */
export interface TrainerOptions {
  /**
   * As in `model.compile`: one for all outputs, a list, or by the outputs' names. Needed by `fit`; without
   * one, `gradients` takes any function of the outputs.
   */
  loss?: tfl.ModelCompileArgs['loss'];
  /** As in `model.compile`: a name or an optimizer, which stays the caller's. Default `'adam'`. */
  optimizer?: string | tf.Optimizer;
  /** As in `model.compile`: those of all outputs, or by the outputs' names. */
  metrics?: tfl.ModelCompileArgs['metrics'];
  /**
   * Nodes to compute, of the middle of the graph too; `name:1` for a node's second output; or
   * outputs of the model's signature. Default: the model's outputs. What is given by output, and
   * what histories say, is by these names; by the signature's where the outputs are the model's; and
   * by a head's where it was given one.
   */
  outputs?: string | string[];
  /**
   * A layer, or a LayersModel, to put behind the output; with several outputs one that takes all of them, or
   * a list with one for each, null to leave an output as it is. What is trainable in it is trained. A layer
   * without weights gets them when the first batch comes. Its values belong to the active adapter, which
   * saves them and gives them back; the layer stays the caller's.
   */
  head?: Layer | (Layer | null)[];
}

/**
 * Options of {@link GraphTrainer.fit}: those of `model.fitDataset`, and for arrays those of {@link Batching}.
 */
export interface GraphFitOptions extends Batching {
  /** Default 1. */
  epochs?: number;
  initialEpoch?: number;
  /** Batches in an epoch, of one pass over the data through all epochs. Default: each epoch is a pass. */
  batchesPerEpoch?: number;
  /** Data to evaluate after each epoch; its figures are named `val_…`. */
  validationData?: GraphData;
  /**
   * Of all samples in arrays, which part to keep for validation: the last ones, before any
   * shuffling. Instead of `validationData`.
   */
  validationSplit?: number;
  /** Batches to evaluate after each epoch. Default: all. */
  validationBatches?: number;
  /** Samples in a batch, of `validationData` in arrays. Default: `batchSize`. */
  validationBatchSize?: number;
  /** As in `model.fit`. One stops training by setting the trainer's `stopTraining`. */
  callbacks?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['callbacks'];
  /** Default 1: progress on the console, as tfjs-layers shows it. */
  verbose?: 0 | 1;
  /**
   * How much the samples of each class count in the loss: for the only output,
   * a list, or by the outputs' names.
   */
  classWeight?: ClassWeight | ClassWeight[] | Record<string, ClassWeight>;
  yieldEvery?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['yieldEvery'];
}

/** Options of {@link GraphTrainer.evaluate}. */
export interface GraphEvaluateOptions {
  /** Samples in a batch, of arrays. Default 32. */
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

/** @throws ConfigError if an option is unknown, out of range, or does not go with another. */
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
    throw new ConfigError(
      'fit: validationData and validationSplit both say what to validate with. Give one of them.',
    );
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
  // tfjs-layers takes null for an output without, as its types do not say.
  return listed.map((weight) => weight ?? null) as ClassWeight[];
}
