import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import type {Layer} from '../../core/tfjs/internals.js';
import type {PreparedBatch} from './forward.js';
import {GraphLayer, type TrainedVariable} from './graph-layer.js';
import {InnerModel} from './inner-model.js';
import type {OutputNames} from './output-names.js';

/** Runs a prepared batch, and tells what that adds to the loss. */
export interface Run {
  run(prepared: PreparedBatch, training: boolean): tf.Tensor[];
  losses(): (() => tf.Scalar)[];
}

/** A graph's outputs and the heads behind them as one LayersModel. */
export class HeadedModel {
  readonly inner: InnerModel;
  private readonly layer: GraphLayer;
  /** Batches by the data of the tensors that stand for them. */
  private readonly batches = new WeakMap<object, PreparedBatch>();

  /**
   * @param shapes Of the graph's outputs, with null for the samples.
   * @param heads One for each output, null for none; or one that takes all.
   */
  constructor(call: Run, shapes: tfl.Shape[], heads: readonly (Layer | null)[], names: OutputNames) {
    const run = (key: tf.Tensor, training: boolean) => call.run(this.batches.get(key.dataId)!, training);
    this.layer = new GraphLayer({run, losses: () => call.losses()}, shapes);
    const samples = tfl.input({shape: [1]});
    const behind = [this.layer.apply(samples)].flat() as tfl.SymbolicTensor[];
    const groups = heads.length === behind.length ? behind.map((output) => [output]) : [behind];
    const ends = groups.flatMap((group, i) => {
      const end = heads[i]?.apply(group.length === 1 ? group[0]! : group) ?? group;
      return end as tfl.SymbolicTensor | tfl.SymbolicTensor[];
    });
    this.inner = new InnerModel(samples, ends, names.names);
  }

  /** Says what is trained now. */
  setVariables(variables: readonly TrainedVariable[]): void {
    this.layer.setVariables(variables);
  }

  /** A tensor that stands for a batch, with a row for each sample. */
  keyOf(prepared: PreparedBatch, rows: number): tf.Tensor {
    const key = tf.ones([rows, 1]);
    this.batches.set(key.dataId, prepared);
    return key;
  }

  /** The outputs of a batch behind their heads. */
  apply(prepared: PreparedBatch, training: boolean): tf.Tensor | tf.Tensor[] {
    return tf.tidy(() => this.inner.apply(this.keyOf(prepared, 1), {training}) as tf.Tensor | tf.Tensor[]);
  }
}

/** @throws ConfigError if two heads are called alike, which no LayersModel can have. */
export function checkHeadNames(heads: readonly (Layer | null)[]): void {
  const layers = [...new Set(heads.filter((head) => head !== null))];
  const twice = layers.find(({name}, i) => layers.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) {
    throw new ConfigError(`head: two heads have the name '${twice.name}'. Give each head a different name.`);
  }
}
