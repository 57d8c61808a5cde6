import type * as tfl from '@tensorflow/tfjs-layers';
import type {ExpertUsage} from '../sites/usage.js';
import type {AnyPeft} from './peft.js';

/** Options of {@link usageCallback}. */
export interface UsageCallbackOptions {
  /** How many tasks to tell apart. Default 0: none. */
  tasks?: number;
  /** Takes a line per site and epoch. Default: nothing is printed; the figures are in the history. */
  print?: (line: string) => void;
}

/**
 * A callback for `fit` that tracks how experts are used, and at the end of every epoch adds that epoch's figures to its logs, and so to
 * the history: `<site>/entropy`, `<site>/active` and `<site>/share_<expert>`, and with tasks `<site>/task_<task>/entropy` and so on.
 * After training, usage is tracked as it was before, and counted anew.
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
          `epoch ${epoch + 1}, ${site}: ${shares}; entropy ${entropy.toFixed(3)}, ${active.toFixed(2)} active`,
        );
      }
    },
  };
}

function figures(prefix: string, {share, entropy, active}: ExpertUsage): Record<string, number> {
  const shares = share.map((value, expert) => [`${prefix}/share_${expert}`, value] as const);
  return {[`${prefix}/entropy`]: entropy, [`${prefix}/active`]: active, ...Object.fromEntries(shares)};
}
