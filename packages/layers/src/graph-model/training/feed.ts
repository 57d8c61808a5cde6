import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {countRows, disposeBatch, type GraphBatch} from './batches.js';
import type {PreparedBatch} from './forward.js';
import type {OutputNames} from './output-names.js';
import type {Passes} from './passes.js';

/** What a {@link Feed} needs of a trainer. */
export interface FeedCall {
  names: OutputNames;
  prepare(batch: GraphBatch): Promise<PreparedBatch>;
  /** A tensor with a row for each sample, by which the trainer's layer finds the batch again. */
  keyOf(prepared: PreparedBatch, rows: number): tf.Tensor;
  weigh(targets: tf.Tensor[], weights: (tf.Tensor | undefined)[]): void;
}

type Dataset = Parameters<tfl.LayersModel['evaluateDataset']>[0];

interface TfjsBatch {
  xs: tf.Tensor;
  ys: tf.Tensor[];
}

/**
 * Data as tfjs-layers takes a dataset: each batch is prepared when it is handed out, and disposed when the
 * next one is asked for. tfjs-layers asks for more passes than it runs, and ends none of them.
 */
export class Feed {
  private last: {batch: GraphBatch; prepared?: PreparedBatch; key?: tf.Tensor} | undefined;

  constructor(
    private readonly passes: Passes,
    private readonly trainer: FeedCall,
  ) {}

  /** As tfjs-layers takes it; tfjs-layers uses nothing else of the type. */
  get dataset(): Dataset {
    return this as unknown as Dataset;
  }

  get size(): number | null {
    return this.passes.size;
  }

  /** The first batch, which the first pass gives again. */
  first(): Promise<GraphBatch> {
    return this.passes.first();
  }

  async iterator(): Promise<{next(): Promise<{done: boolean; value: TfjsBatch | null}>}> {
    const pass = this.passes.pass();
    return {
      next: async () => {
        this.release();
        const batch = await pass();
        return batch === undefined ? {done: true, value: null} : {done: false, value: await this.hand(batch)};
      },
    };
  }

  /** Disposes the last batch and ends the pass. */
  async end(): Promise<void> {
    this.release();
    await this.passes.end();
  }

  private async hand(batch: GraphBatch): Promise<TfjsBatch> {
    const last: Feed['last'] = {batch};
    this.last = last;
    const {names} = this.trainer;
    const ys = names.tensors('ys', batch.ys) as tf.Tensor[];
    const rows = countRows(ys);
    const {sampleWeights} = batch;
    if (sampleWeights !== undefined) {
      this.trainer.weigh(ys, names.tensors('sampleWeights', sampleWeights, {shared: true, partial: true}));
    }
    last.prepared = await this.trainer.prepare(batch);
    last.key = this.trainer.keyOf(last.prepared, rows);
    return {xs: last.key, ys};
  }

  private release(): void {
    const {last} = this;
    this.last = undefined;
    if (last === undefined) return;
    last.prepared?.dispose();
    last.key?.dispose();
    disposeBatch(last.batch);
  }
}
