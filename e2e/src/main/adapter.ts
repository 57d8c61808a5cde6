import type {AdapterConfig} from '@tfjs-peft/layers';
import type {RunOptions} from './options.js';

interface Defaults {
  experts?: number;
  rank?: number;
  router?: string;
  learningRate: number;
}

/** Sizes of about the same reach and the learning rates that suit them; a scale needs larger steps than a low-rank product. */
const DEFAULTS: Record<string, Defaults> = {
  lora: {rank: 4, learningRate: 3e-3},
  ia3: {learningRate: 1e-2},
  molora: {experts: 4, rank: 4, router: 'softmax', learningRate: 3e-3},
  mov: {experts: 4, router: 'softmax', learningRate: 1e-2},
};
/** The delta's scale alpha / rank, the same at any rank. */
const LORA_SCALE = 4;

const defaultsOf = (type: string): Defaults => DEFAULTS[type] ?? {learningRate: 3e-3};

/** The adapter that the options ask for. What a type does not know is passed on, for the layers to refuse it by name. */
export function adapterConfig(options: RunOptions): AdapterConfig {
  const defaults = defaultsOf(options.adapter);
  const experts = options.experts ?? defaults.experts;
  const rank = options.rank ?? defaults.rank;
  const router = options.router ?? defaults.router;
  return {
    type: options.adapter,
    ...(experts !== undefined && {experts}),
    ...(rank !== undefined && {rank, alpha: LORA_SCALE * rank}),
    ...(router !== undefined && {router: {type: router}}),
  } as AdapterConfig;
}

/** The learning rate of the adapter's weights. */
export function learningRateOf(options: RunOptions): number {
  return options.lr ?? defaultsOf(options.adapter).learningRate;
}
