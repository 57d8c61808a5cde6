import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type {Batching, GraphData} from './batches.js';

type Layer = tfl.layers.Layer;

/** Options of {@link trainer}: those of `compile`, and what comes behind the graph. */
export interface TrainerOptions {
  /** As in `model.compile`. Needed by `fit`; without one, `gradients` takes any function of the outputs. */
  loss?: tfl.ModelCompileArgs['loss'];
  /** As in `model.compile`: a name or an optimizer, which stays the caller's. Default `'adam'`. */
  optimizer?: string | tf.Optimizer;
  /** As in `model.compile`. */
  metrics?: tfl.ModelCompileArgs['metrics'];
  /** Nodes to compute, of the middle of the graph too; `name:1` for a node's second output. Default: the model's outputs. */
  outputs?: string | string[];
  /**
   * A layer, or a LayersModel, to put behind the output; with several outputs one that takes all of them, or a list with one for each,
   * null to leave an output as it is. What is trainable in it is trained. A layer without weights gets them when the first batch comes,
   * and loses them with the trainer.
   */
  head?: Layer | (Layer | null)[];
}

/** Options of {@link GraphTrainer.fit}: those of `model.fitDataset`, and for arrays those of {@link Batching}. */
export interface GraphFitOptions extends Batching {
  /** Default 1. */
  epochs?: number;
  initialEpoch?: number;
  batchesPerEpoch?: number;
  /** Data to evaluate after each epoch; its figures are named `val_…`. */
  validationData?: GraphData;
  validationBatches?: number;
  callbacks?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['callbacks'];
  /** Default 1: progress on the console, as tfjs-layers shows it. */
  verbose?: 0 | 1;
  classWeight?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['classWeight'];
  yieldEvery?: tfl.ModelFitDatasetArgs<tf.TensorContainer>['yieldEvery'];
}

/** The names of {@link GraphFitOptions}. */
export const FIT_OPTIONS = [
  'epochs',
  'initialEpoch',
  'batchesPerEpoch',
  'validationData',
  'validationBatches',
  'callbacks',
  'verbose',
  'classWeight',
  'yieldEvery',
  'batchSize',
  'shuffle',
  'seed',
] as const;
