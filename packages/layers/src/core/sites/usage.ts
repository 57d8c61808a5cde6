import * as tf from '@tensorflow/tfjs-core';
import type {RouterContext, Routing} from '@tfjs-peft/routers';

/** How a site's experts were used by some tokens. */
export interface ExpertUsage {
  /** Mean probability of each expert; they sum to 1. */
  share: number[];
  /** Entropy of `share` in nats: log E where all are used alike, 0 where one is alone. */
  entropy: number;
  /** Mean number of experts that a token chose. */
  active: number;
  /** How many tokens were counted; padding is not. */
  tokens: number;
}

/** {@link ExpertUsage} over all tokens of a site, and by task where tasks are tracked. */
export interface SiteUsage extends ExpertUsage {
  /** Path of the layer. */
  site: string;
  /** By the number of the task; `share` and the means of a task without tokens are 0. */
  tasks?: ExpertUsage[];
}

/**
 * Sums over the tokens that a site has routed, by adapter, kept where the backend has them: a few small ops a
 * call, and no reading back.
 *
 * @example
 * ```ts
 * import {PeftDense, type UsageRecorder} from '@tfjs-peft/layers';
 *
 * const {site} = new PeftDense({units: 4, inputShape: [8]});
 * const recorder: UsageRecorder | undefined = site.usage; // undefined: nothing is tracked
 * ```
 */
export class UsageRecorder {
  private readonly sums = new Map<string, tf.Tensor2D>();
  /** The adapter that was counted last. */
  latest: string | undefined;

  /** @param tasks How many tasks to tell apart by the context's `task`; 0 for none. */
  constructor(private readonly tasks: number) {}

  add({gates, probabilities, selected}: Routing, context: RouterContext | undefined, adapter: string): void {
    const before = this.sums.get(adapter);
    const after = tf.tidy(() => {
      const experts = probabilities.shape[probabilities.rank - 1]!;
      const batch = probabilities.shape[0]!;
      const chosen = selected ?? tf.cast(tf.notEqual(gates, 0), 'float32');
      const ones = tf.ones([...probabilities.shape.slice(0, -1), 1]);
      const rows = tf.concat([probabilities, tf.sum(chosen, -1, true), ones], -1);
      const mask = context?.mask;
      // Heads that are routed separately share their token's mask.
      const heads = mask === undefined ? 1 : ones.size / mask.size;
      const counted =
        mask === undefined
          ? rows
          : tf.mul(rows, tf.reshape(tf.mul(tf.reshape(mask, [-1, 1]), tf.ones([1, heads])), ones.shape));
      const samples = tf.sum(tf.reshape(counted, [batch, -1, experts + 2]), 1) as tf.Tensor2D;
      const all = tf.sum(samples, 0, true) as tf.Tensor2D;
      const sums = this.tasks === 0 ? all : tf.concat([all, this.byTask(samples, context?.task)], 0);
      return tf.keep(before === undefined ? sums : tf.add(before, sums)) as tf.Tensor2D;
    });
    before?.dispose();
    this.sums.set(adapter, after);
    this.latest = adapter;
  }

  private byTask(samples: tf.Tensor2D, task: tf.Tensor | undefined): tf.Tensor2D {
    const [batch, width] = samples.shape;
    if (task === undefined || (task.size !== batch && task.size !== 1)) return tf.zeros([this.tasks, width]);
    const numbers = tf.tensor2d([Array.from({length: this.tasks}, (_, number) => number)]);
    const own = tf.cast(tf.equal(tf.reshape(tf.cast(task, 'float32'), [-1, 1]), numbers), 'float32');
    return tf.matMul(tf.mul(own, tf.ones([batch, 1])) as tf.Tensor2D, samples, true);
  }

  /** What was counted of an adapter since the beginning or the last reset; null if nothing was. */
  async read(site: string, adapter = this.latest): Promise<SiteUsage | null> {
    const sums = adapter === undefined ? undefined : this.sums.get(adapter);
    if (sums === undefined) return null;
    const rows = (await sums.array()).map(usageOf);
    const [all, ...tasks] = rows as [ExpertUsage, ...ExpertUsage[]];
    return {site, ...all, ...(this.tasks > 0 && {tasks})};
  }

  /** Resets the counts of one adapter, or of all. */
  reset(adapter?: string): void {
    for (const name of adapter === undefined ? [...this.sums.keys()] : [adapter]) {
      this.sums.get(name)?.dispose();
      this.sums.delete(name);
    }
  }
}

function usageOf(sums: number[]): ExpertUsage {
  const [chosen, tokens] = sums.slice(-2) as [number, number];
  const share = sums.slice(0, -2).map((sum) => sum / Math.max(tokens, 1));
  const entropy = share.reduce((total, p) => (p > 0 ? total - p * Math.log(p) : total), 0);
  return {share, entropy, active: chosen / Math.max(tokens, 1), tokens};
}
