import type * as tfl from '@tensorflow/tfjs-layers';
import type {ExpertUsage} from '../sites/usage.js';
import type {AnyPeft} from './peft.js';

/** Options of {@link usageCallback}. */
export interface UsageCallbackOptions {
  /** Number of tasks to count separately. Default 0. */
  tasks?: number;
  /** Receives one line per site and epoch. Default: nothing is printed; the figures are in the history. */
  print?: (line: string) => void;
}

/**
 * A callback for `fit` that tracks the usage of experts. At the end of every epoch it adds the figures to the
 * logs, and so to the history: `<site>/entropy`, `<site>/active` and `<site>/share_<expert>`, and with tasks
 * `<site>/task_<task>/entropy` and so on. After training, tracking is as before, with counts reset.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {upgrade, usageCallback} from '@tfjs-peft/layers';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [8]})]});
 * const peft = await upgrade(model, {targets: [/dense/], adapter: {type: 'mov', experts: 4}});
 * model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
 * await model.fit(tf.ones([16, 8]), tf.ones([16, 4]), {
 *   verbose: 0,
 *   callbacks: usageCallback(peft, {print: console.log}),
 * });
 * ```
 */
export function usageCallback(peft: AnyPeft, options: UsageCallbackOptions = {}): tfl.CustomCallbackArgs {
  let before: {tasks: number} | null;
  return {
    onTrainBegin: async () => {
      before = peft.usageTracking;
      peft.trackUsage({tasks: options.tasks ?? 0});
    },
    onTrainEnd: async () => {
      if (before === null) peft.stopTrackingUsage();
      else peft.trackUsage(before);
    },
    onEpochEnd: async (epoch, logs) => {
      for (const usage of await peft.usage({reset: true})) {
        const {site, share, entropy, active, tasks = []} = usage;
        Object.assign(logs ?? {}, figures(site, usage));
        for (const [task, own] of tasks.entries())
          Object.assign(logs ?? {}, figures(`${site}/task_${task}`, own));
        const shares = share.map((value) => `${(100 * value).toFixed(1)} %`).join(', ');
        options.print?.(
          `epoch ${epoch + 1}, ${site}: ${shares}; entropy ${entropy.toFixed(3)}, ${active.toFixed(2)} ` +
            'active',
        );
      }
    },
  };
}

function figures(prefix: string, {share, entropy, active}: ExpertUsage): Record<string, number> {
  const shares = share.map((value, expert) => [`${prefix}/share_${expert}`, value] as const);
  return {[`${prefix}/entropy`]: entropy, [`${prefix}/active`]: active, ...Object.fromEntries(shares)};
}
