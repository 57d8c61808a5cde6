import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {
  checkBoolean,
  checkChoice,
  checkInteger,
  checkNumber,
  checkOptions,
  FORMS,
  type Form,
} from '@tfjs-peft/routers';
import type {AnyPeft} from './peft.js';

/** How the coefficient grows to its value: at once, in equal steps, or along half a cosine wave. */
/** How the coefficient of a {@link BalanceSchedule} grows. */
export type Warmup = 'constant' | 'linear' | 'cosine';

const WARMUPS = ['constant', 'linear', 'cosine'] as const satisfies Warmup[];

/** When and how much the losses of a model's routers count; see {@link balanceScale}. */
export interface BalanceSchedule {
  /**
   * Which defaults to use. `paper` adds the routers' losses at every step, summed over the sites, with the
   * routers' own weights. `code`, after LiME's released code, adds them every 50th step, averaged over the
   * sites and times 0.01. Default `paper`.
   */
  form?: Form;
  /** Factor of the losses. Default 1 (paper), 0.01 (code). */
  coefficient?: number;
  /** The losses count at steps 0, every, 2 · every, and so on. Default 1 (paper), 50 (code). */
  every?: number;
  /** Divide by the number of sites with a loss. Default false (paper), true (code). */
  average?: boolean;
  /** How the coefficient grows. Default `constant`; the released code uses `linear`. */
  warmup?: Warmup;
  /** Number of steps until the coefficient has its full value. Default 0. */
  warmupSteps?: number;
}

const OPTIONS = ['form', 'coefficient', 'every', 'average', 'warmup', 'warmupSteps'] as const;

/**
 * The factor of each site's router loss at a step of training:
 *
 *     coefficient · warmup(step / warmupSteps) / sites   if step is a multiple of every, else 0
 *
 * with warmup(t) = 1 for t >= 1, else t (`linear`) or (1 - cos(π t)) / 2 (`cosine`). LiME (arXiv 2604.02338,
 * section 3) adds α_imp L_imp + β_KL L_KL with 0.1 and 0.01, which are options of its router; the schedule
 * comes from its released code (Kowsher/LiME).
 *
 * @param step Number of the step, from 0: gradient steps, or micro-batches as the released code counts.
 * @param sites Number of sites with a loss. Default 1.
 * @throws ConfigError if an option is unknown or out of range.
 * @example
 * ```ts
 * import {balanceScale} from '@tfjs-peft/layers';
 *
 * // In a training loop of your own, before each step: peft.scaleLosses(factor).
 * const factor = balanceScale({warmup: 'linear', warmupSteps: 100}, 50); // 0.5
 * ```
 */
export function balanceScale(schedule: BalanceSchedule, step: number, sites = 1): number {
  const {coefficient, every, average, warmup, warmupSteps} = checked(schedule);
  if (step % every !== 0) return 0;
  const progress = step >= warmupSteps || warmup === 'constant' ? 1 : step / warmupSteps;
  const grown = warmup === 'cosine' ? (1 - Math.cos(Math.PI * progress)) / 2 : progress;
  return (coefficient * grown) / (average ? sites : 1);
}

/**
 * A callback for `fit` that scales the losses of the active adapter's routers by a schedule, batch by batch.
 * Steps count on over the epochs and restart with every `fit`. At the end of training, the factor is as
 * before. If `fit` throws, the last factor stays: `peft.scaleLosses(1)` resets it.
 *
 * @throws ConfigError at once if an option is unknown or out of range; when training begins, if no site of
 * the active adapter has a router with a loss.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {balanceCallback, upgrade} from '@tfjs-peft/layers';
 *
 * const model = tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [8]})]});
 * const router = {type: 'noisy-top-k'} as const; // has a balance loss
 * const adapter = {type: 'molora', experts: 4, rank: 2, router} as const;
 * const peft = await upgrade(model, {targets: [/dense/], adapter});
 * model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
 * await model.fit(tf.ones([16, 8]), tf.ones([16, 4]), {
 *   verbose: 0,
 *   callbacks: balanceCallback(peft, {warmup: 'linear', warmupSteps: 100}),
 * });
 * ```
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
        'balanceCallback: no router of the active adapter has a loss. Use a router with one, such as ' +
          "{type: 'zero', importance: 0.1, divergence: 0.01}.",
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
  const form = checkChoice(what, 'form', schedule.form, FORMS);
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
