import type * as tfl from '@tensorflow/tfjs-layers';
import type {Peft} from './peft.js';

/** Options of {@link usageCallback}. */
export interface UsageCallbackOptions {
  /** How many tasks to tell apart. Default 0: none. */
  tasks?: number;
  /** Takes a line per site and epoch. Default: nothing is printed; the figures are in the history. */
  print?: (line: string) => void;
}

/**
 * A callback for `fit` that tracks how experts are used, and at the end of every epoch adds `<site>/entropy` and `<site>/active` of
 * that epoch to its logs, and so to the history.
 */
export function usageCallback(peft: Peft, options: UsageCallbackOptions = {}): tfl.CustomCallbackArgs {
  return {
    onTrainBegin: async () => {
      peft.trackUsage({tasks: options.tasks ?? 0});
    },
    onEpochEnd: async (epoch, logs) => {
      for (const {site, share, entropy, active} of await peft.usage({reset: true})) {
        if (logs !== undefined)
          Object.assign(logs, {[`${site}/entropy`]: entropy, [`${site}/active`]: active});
        const shares = share.map((value) => `${(100 * value).toFixed(1)} %`).join(', ');
        options.print?.(
          `epoch ${epoch + 1}, ${site}: ${shares}; entropy ${entropy.toFixed(3)}, ${active.toFixed(2)} active`,
        );
      }
    },
  };
}
