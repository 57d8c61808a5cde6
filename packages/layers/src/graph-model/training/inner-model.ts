import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ShapeError} from '@tfjs-peft/kernels';
import {repairTotals} from '../../core/tfjs/evaluate-totals.js';
import {inside} from '../../core/tfjs/internals.js';

type LossFunction = (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;

/**
 * Fields of a LayersModel that its types hide: its losses, and beside them the functions that are reported.
 */
interface Compiled {
  lossFunctions: LossFunction[];
  metricsTensors: [fn: LossFunction, output: number][];
  outputNames: string[];
  metricsNames: string[];
  getDedupedMetricsNames(): string[];
}

/**
 * The LayersModel through which a graph is trained. Its outputs can have any names; its losses use sample
 * weights and may have values of different shapes, which tfjs-layers adds as they are.
 */
export class InnerModel extends tfl.LayersModel {
  /** Keyed by the data of the targets, because tfjs-layers passes on only the targets. */
  private readonly sampleWeights = new WeakMap<object, readonly (tf.Tensor | undefined)[]>();

  constructor(inputs: tfl.SymbolicTensor, outputs: tfl.SymbolicTensor[], names: readonly string[]) {
    super({inputs, outputs});
    this.inside.outputNames = [...names];
    repairTotals(this);
  }

  override compile(args: tfl.ModelCompileArgs): void {
    super.compile(args);
    const {inside} = this;
    inside.lossFunctions = inside.lossFunctions.map((loss, i) => this.weighing(loss, i));
    // With several outputs tfjs-layers reports the loss of each, before the metrics.
    if (this.outputs.length > 1) {
      for (const [i, loss] of inside.lossFunctions.entries()) inside.metricsTensors[i] = [loss, i];
    }
    inside.metricsNames = inside.getDedupedMetricsNames();
  }

  /**
   * Sets how much the samples of some targets count. One tensor for each output, undefined where all samples
   * count the same.
   */
  weigh(targets: readonly tf.Tensor[], weights: readonly (tf.Tensor | undefined)[]): void {
    for (const {dataId} of targets) this.sampleWeights.set(dataId, weights);
  }

  private weighing(loss: LossFunction, output: number): LossFunction {
    return (yTrue, yPred) => {
      const values = loss(yTrue, yPred);
      const weights = this.sampleWeights.get(yTrue.dataId)?.[output];
      const weighed = weights === undefined ? values : tf.mul(values, like(weights, values));
      // The losses of several outputs are added sample by sample.
      if (this.outputs.length === 1 || weighed.rank < 2) return weighed;
      return tf.mean(weighed, weighed.shape.map((_, axis) => axis).slice(1));
    };
  }

  private get inside(): Compiled {
    return inside(this);
  }
}

/** Weights as they multiply a loss's values. */
function like(weights: tf.Tensor, values: tf.Tensor): tf.Tensor {
  const own = tf.cast(weights, 'float32');
  const [samples] = values.shape;
  if (tf.util.arraysEqual(own.shape, values.shape)) return own;
  if (values.rank > 0 && own.size === samples && own.shape[0] === samples) {
    return tf.reshape(own, [samples!, ...values.shape.slice(1).map(() => 1)]);
  }
  throw new ShapeError(
    `sampleWeights have the shape [${weights.shape}], but the loss has the shape ` +
      `[${values.shape}]. Pass one weight per sample, or one weight per value of the loss.`,
  );
}
