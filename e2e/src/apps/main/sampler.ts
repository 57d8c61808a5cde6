import {bucketOf} from '../../data/models/padding.js';
import {random, shuffled} from '../../data/tasks/random.js';
import type {EncodedTask} from './corpus.js';

/** Training texts of one task in a batch, by row in the task's training split. */
export interface Segment {
  task: number;
  rows: number[];
}

/** Texts of any task, of like length, in the order of the tasks. */
export type Batch = Segment[];

interface Item {
  task: number;
  row: number;
  length: number;
}

/**
 * The batches of training by step. An epoch sees every text of a middling task once; tasks of other sizes are
 * drawn in proportion to the square root of their size, so that a small one is not drowned. Which batch a
 * step has depends on seed and step alone: a resumed run goes on where it was.
 */
export class Sampler {
  private epoch = -1;
  private first = 0;
  private batches: Batch[] = [];

  constructor(
    private readonly tasks: EncodedTask[],
    private readonly batchSize: number,
    private readonly maxTokens: number,
    private readonly seed: number,
  ) {}

  /** The batch of a step, from 0; steps are asked for in rising order. */
  batchOf(step: number): Batch {
    while (step >= this.first + this.batches.length) {
      this.first += this.batches.length;
      this.epoch++;
      this.batches = this.shuffledEpoch(this.epoch);
    }
    return this.batches[step - this.first]!;
  }

  /** Tokens of a mean batch, padding included: what a step costs. */
  meanTokens(): number {
    const batches = this.shuffledEpoch(0);
    const tokens = batches.map((batch) => {
      const lengths = batch.flatMap(({task, rows}) =>
        rows.map((row) => this.tasks[task]!.train.tokens[row]!.length),
      );
      return lengths.length * Math.max(...lengths);
    });
    return tokens.reduce((sum, count) => sum + count, 0) / batches.length;
  }

  private shuffledEpoch(epoch: number): Batch[] {
    const next = random(this.seed, `epoch ${epoch}`);
    const roots = this.tasks.map(({train}) => Math.sqrt(train.labels.length));
    const total = this.tasks.reduce((sum, {train}) => sum + train.labels.length, 0);
    const rootSum = roots.reduce((sum, root) => sum + root, 0);
    const items = this.tasks.flatMap(({train}, task): Item[] => {
      const count = Math.max(1, Math.round((total * roots[task]!) / rootSum));
      const rows: number[] = [];
      while (rows.length < count) {
        rows.push(...shuffled(Array.from(train.labels.keys()), next).slice(0, count - rows.length));
      }
      return rows.map((row) => ({task, row, length: bucketOf(train.tokens[row]!.length, this.maxTokens)}));
    });
    return shuffled(this.cut(shuffled(items, next)), next);
  }

  /** Batches bucket by bucket; what is left of a bucket goes to the next longer one. */
  private cut(items: Item[]): Batch[] {
    const lengths = [...new Set(items.map(({length}) => length))].sort((a, b) => a - b);
    const batches: Batch[] = [];
    let left: Item[] = [];
    for (const length of lengths) {
      left = [...left, ...items.filter((item) => item.length === length)];
      const full = length === lengths.at(-1) ? left.length : left.length - (left.length % this.batchSize);
      for (let start = 0; start < full; start += this.batchSize) {
        batches.push(this.batch(left.slice(start, Math.min(start + this.batchSize, full))));
      }
      left = left.slice(full);
    }
    return batches;
  }

  private batch(items: Item[]): Batch {
    return this.tasks
      .map((_, task) => ({task, rows: items.filter((item) => item.task === task).map(({row}) => row)}))
      .filter(({rows}) => rows.length > 0);
  }
}
