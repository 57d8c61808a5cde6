import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {checkBoolean, checkChoice, checkInteger, checkNumber, checkOptions} from '@tfjs-peft/routers';
import type {AnyPeft} from './peft.js';

/** How a coefficient comes up to its value: at once, in equal steps, or along half a wave of the cosine. */
export const WARMUPS = ['constant', 'linear', 'cosine'] as const;

/** When, and how much, the losses of a model's routers count; see {@link balanceScale}. */
export interface BalanceSchedule {
  /**
   * Which defaults: `paper` takes the losses as the routers weigh them, at every step, summed over the sites; `code`, the released
   * code of LiME, every 50th step, averaged over the sites and times 0.01. Default `paper`.
   */
  form?: 'paper' | 'code';
  /** What the losses are multiplied by. Default 1 (paper), 0.01 (code). */
  coefficient?: number;
  /** Steps 0, every, 2 · every, ... count, the others have no loss. Default 1 (paper), 50 (code). */
  every?: number;
  /** Divide by the number of sites with a loss. Default false (paper), true (code). */
  average?: boolean;
  /** How the coefficient comes up. Default `constant`; the released code's is `linear`. */
  warmup?: (typeof WARMUPS)[number];
  /** After so many steps it is there. Default 0. */
  warmupSteps?: number;
}

const OPTIONS = ['form', 'coefficient', 'every', 'average', 'warmup', 'warmupSteps'] as const;

/**
 * What each site's loss is multiplied by at a step of training:
 *
 *     coefficient · warmup(step / warmupSteps) / sites   if step is a multiple of every, else 0
 *
 * with warmup(t) = 1 for t >= 1, else t (`linear`) or (1 - cos(π t)) / 2 (`cosine`). LiME (arXiv 2604.02338, section 3) adds
 * α_imp L_imp + β_KL L_KL with 0.1 and 0.01, which are options of its router; its released code (Kowsher/LiME) has the rest.
 *
 * @param step Counted from 0: gradient steps, or micro-batches as the released code counts.
 * @param sites How many sites have a loss. Default 1.
 * @throws ConfigError if an option is unknown or out of range.
 */
export function balanceScale(schedule: BalanceSchedule, step: number, sites = 1): number {
  const {coefficient, every, average, warmup, warmupSteps} = checked(schedule);
  if (step % every !== 0) return 0;
  const progress = step >= warmupSteps || warmup === 'constant' ? 1 : step / warmupSteps;
  const grown = warmup === 'cosine' ? (1 - Math.cos(Math.PI * progress)) / 2 : progress;
  return (coefficient * grown) / (average ? sites : 1);
}

/**
 * A callback for `fit` that sets, batch by batch, how much the losses of the active adapter's routers count, and in the end has them
 * count as they do without it. Steps go on over epochs, and begin anew with every `fit`. A `fit` that throws leaves the last factor:
 * {@link AnyPeft.scaleLosses} sets it back to 1.
 *
 * @throws ConfigError, as soon as it is called if an option is unknown or out of range, and when training begins if no site of the
 * active adapter has a router with a loss.
 */
export function balanceCallback(peft: AnyPeft, schedule: BalanceSchedule = {}): tfl.CustomCallbackArgs {
  checked(schedule);
  let step = 0;
  let before = 1;
  return {
    onTrainBegin: async () => {
      step = 0;
      before = peft.lossFactor;
      if (peft.lossSites > 0) return;
      throw new ConfigError(
        "balanceCallback: no router of the active adapter has a loss. Give it one, such as router: {type: 'zero', importance: 0.1, " +
          'divergence: 0.01}.',
      );
    },
    onBatchBegin: async () => {
      peft.scaleLosses(balanceScale(schedule, step, peft.lossSites));
      step++;
    },
    onTrainEnd: async () => peft.scaleLosses(before),
  };
}

function checked(schedule: BalanceSchedule): Required<BalanceSchedule> {
  const what = 'balance schedule';
  checkOptions(what, schedule, OPTIONS);
  const form = checkChoice(what, 'form', schedule.form, ['paper', 'code'] as const);
  const code = form === 'code';
  return {
    form,
    coefficient: checkNumber(what, 'coefficient', schedule.coefficient, {
      min: 0,
      fallback: code ? 0.01 : 1,
    }),
    every: checkInteger(what, 'every', schedule.every, {fallback: code ? 50 : 1}),
    average: checkBoolean(what, 'average', schedule.average, code),
    warmup: checkChoice(what, 'warmup', schedule.warmup, WARMUPS),
    warmupSteps: checkInteger(what, 'warmupSteps', schedule.warmupSteps, {min: 0, fallback: 0}),
  };
}
