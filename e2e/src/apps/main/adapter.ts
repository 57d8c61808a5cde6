import {type AdapterConfig, countTrainable, createAdapter} from '@tfjs-peft/layers';
import {InputError} from '../../data/input-error.js';

/** What a run's adapter depends on besides its options. */
export interface Setting {
  /** Number of tasks. */
  tasks: number;
  /** Width of the model's vectors. */
  width: number;
  /** Whether a sample brings along an intuition, for MoR1E to read. Default true. */
  intuition?: boolean;
}

/** The options that an adapter's config is made of. */
export interface AdapterOptions {
  adapter: string;
  experts?: number;
  rank?: number;
  router?: string;
}

interface Sizes {
  experts?: number;
  rank?: number;
  router?: object;
}

interface Kind {
  experts?: number;
  rank?: number;
  router?: string;
  /** A scale needs larger steps than a low-rank product. */
  learningRate: number;
  /** The config from the sizes; by default they are options of the same names. */
  config?: (sizes: Sizes, setting: Setting) => object;
}

/** The delta's scale alpha / rank, the same at any rank. */
const LORA_SCALE = 4;

const scaled = (rank: number | undefined) => (rank === undefined ? {} : {rank, alpha: LORA_SCALE * rank});

const asOptions = ({rank, ...sizes}: Sizes) => ({...sizes, ...scaled(rank)});

/** LiME's experts share one module, which has the rank. */
const overLora = ({rank, ...sizes}: Sizes) => ({...sizes, over: {type: 'lora', ...scaled(rank)}});

/** MoR1E's experts have rank one, and a rank of their number where each has its own pair of vectors. */
const rankOnes = ({rank, ...sizes}: Sizes, {intuition}: Setting) => ({
  ...sizes,
  ...(intuition === false && {intuition}),
  ...(rank === undefined ? {r1: 4, r2: 8} : {mode: '1v1', rank}),
});

/** Sizes of about the same reach, and the learning rates that suit them. */
const KINDS: Record<string, Kind> = {
  lora: {rank: 4, learningRate: 3e-3},
  dora: {rank: 4, learningRate: 3e-3},
  'lora-fa': {rank: 4, learningRate: 3e-3},
  ia3: {learningRate: 1e-2},
  mov: {experts: 4, router: 'softmax', learningRate: 1e-2},
  molora: {experts: 4, rank: 4, router: 'softmax', learningRate: 3e-3},
  mor1e: {learningRate: 3e-3, config: rankOnes},
  lime: {experts: 4, rank: 4, router: 'zero', learningRate: 3e-3, config: overLora},
};

export const ADAPTERS = Object.keys(KINDS);

const kindOf = (type: string): Kind => KINDS[type]!;

/** Options of routers beyond their type. */
const ROUTERS: Record<string, (setting: Setting, experts: number) => object> = {
  softmax: () => ({}),
  'top-k': () => ({type: 'softmax', topK: 2, renormalize: true}),
  'noisy-top-k': () => ({}),
  'expert-choice': () => ({}),
  // The paper's jitter and balance.
  zero: () => ({jitter: 0.1, importance: 0.1, divergence: 0.01}),
  intuition: () => ({}),
  sentence: ({width}) => ({width}),
  task: ({tasks}, experts) => ({assign: Array.from({length: tasks}, (_, task) => task % experts)}),
  fixed: () => ({}),
  composite: () => ({routers: [{type: 'softmax'}, {type: 'intuition'}]}),
};

export const ROUTER_NAMES = Object.keys(ROUTERS);

/**
 * The adapter that the options ask for, with all defaults filled in. An option that a type does not know is passed on, for the layers
 * to refuse it by name.
 *
 * @throws ConfigError if one of the options is not good.
 */
export function adapterConfig(options: AdapterOptions, setting: Setting): AdapterConfig {
  const {adapter: type} = options;
  const kind = kindOf(type);
  const router = options.router ?? kind.router;
  // One expert a task, unless their number is given.
  const experts = options.experts ?? (options.router === 'task' ? setting.tasks : kind.experts);
  const rank = options.rank ?? kind.rank;
  const sizes: Sizes = {
    ...(experts !== undefined && {experts}),
    ...(rank !== undefined && {rank}),
    ...(router !== undefined && {router: {type: router, ...ROUTERS[router]?.(setting, experts ?? 1)}}),
  };
  return createAdapter({type, ...(kind.config ?? asOptions)(sizes, setting)} as AdapterConfig).getConfig();
}

/** An adapter that is to stay small beside its model has less at a layer than this share of it. */
const LARGEST_SHARE = 1 / 4;

/**
 * Compares an adapter's size with its model's, before any of it is allocated.
 *
 * @throws InputError if a layer of the model's width would get too much.
 */
export function checkSize(
  adapter: AdapterConfig,
  {width, parameters}: {width: number; parameters: number},
): void {
  const count = countTrainable(adapter, {inputDim: width, outputDim: width});
  if (count <= LARGEST_SHARE * parameters) return;
  throw new InputError(
    `--experts, --rank: ${adapter.type} would add ${count.toLocaleString('en')} parameters to a layer, and the whole model has ${parameters.toLocaleString('en')}; lower one of them`,
  );
}

/** The learning rate of the adapter's weights. */
export function learningRateOf(options: {adapter: string; lr?: number | undefined}): number {
  return options.lr ?? kindOf(options.adapter).learningRate;
}

/** Experts and their rank, of a config with all defaults. */
export function sizeOf(adapter: AdapterConfig): {experts?: number; rank?: number} {
  if (adapter.type === 'mor1e') {
    const {r1, r2, rank} = adapter as {r1?: number; r2?: number; rank?: number};
    return {experts: rank ?? r1! * r2!, rank: 1};
  }
  const {
    experts,
    over,
    rank = over?.rank,
  } = adapter as {
    experts?: number;
    rank?: number;
    over?: {rank?: number};
  };
  return {...(experts !== undefined && {experts}), ...(rank !== undefined && {rank})};
}
