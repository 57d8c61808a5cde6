import {type AdapterConfig, adapterDefinitions, countTrainable, createAdapter} from '@tfjs-peft/layers';
import {routerDefinitions} from '@tfjs-peft/routers';
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

/** The delta's scale alpha / rank, the same at any rank. */
const LORA_SCALE = 4;

const scaled = (rank: number | undefined) => (rank === undefined ? {} : {rank, alpha: LORA_SCALE * rank});

/** What the sizes are to adapters that have no options of the same names. */
const CONFIGS: Record<string, (sizes: Sizes, setting: Setting) => object> = {
  // The experts share one module, which has the rank.
  lime: ({rank, ...sizes}) => ({...sizes, over: {type: 'lora', ...scaled(rank)}}),
  // The experts have rank one, and a rank of their number where each has its own pair of vectors.
  mor1e: ({rank, ...sizes}, {intuition}) => ({
    ...sizes,
    ...(intuition === false && {intuition}),
    ...(rank === undefined ? {r1: 4, r2: 8} : {mode: '1v1', rank}),
  }),
};

const definitionOf = (type: string) => adapterDefinitions().find((definition) => definition.type === type)!;

const has = (type: string, option: string) => definitionOf(type).options?.includes(option) === true;

export const ADAPTERS = adapterDefinitions().map(({type}) => type);

/** The adapters that take a router. */
export const MIXTURES = ADAPTERS.filter((type) => has(type, 'router'));

/** Small experts, and small factors where they are scaled by their rank; else the adapter's own defaults. */
function defaultsOf(type: string): {experts?: number; rank?: number; router?: string} {
  const {router} = createAdapter({type} as AdapterConfig).getConfig() as {router?: {type: string}};
  return {
    ...(has(type, 'experts') && {experts: 4}),
    ...((has(type, 'alpha') || has(type, 'over')) && {rank: 4}),
    ...(router && {router: router.type}),
  };
}

/** Options of routers beyond their type, where the defaults would not do. */
const ROUTER_OPTIONS: Record<string, (setting: Setting, experts: number) => object> = {
  // The paper's jitter and balance.
  zero: () => ({jitter: 0.1, importance: 0.1, divergence: 0.01}),
  sentence: ({width}) => ({width}),
  task: ({tasks}, experts) => ({assign: Array.from({length: tasks}, (_, task) => task % experts)}),
  composite: () => ({routers: [{type: 'softmax'}, {type: 'intuition'}]}),
};

export const ROUTER_NAMES = routerDefinitions().map(({type}) => type);

/**
 * The adapter that the options ask for, with all defaults filled in. An option that a type does not know is
 * passed on, for the layers to refuse it by name.
 *
 * @throws ConfigError if one of the options is not good.
 */
export function adapterConfig(options: AdapterOptions, setting: Setting): AdapterConfig {
  const {adapter: type} = options;
  const defaults = defaultsOf(type);
  const router = options.router ?? defaults.router;
  // One expert a task, unless their number is given.
  const experts = options.experts ?? (options.router === 'task' ? setting.tasks : defaults.experts);
  const rank = options.rank ?? defaults.rank;
  const sizes: Sizes = {
    ...(experts !== undefined && {experts}),
    ...(rank !== undefined && {rank}),
    ...(router !== undefined && {router: {type: router, ...ROUTER_OPTIONS[router]?.(setting, experts ?? 1)}}),
  };
  const asOptions = () => ({...sizes, ...(has(type, 'alpha') && scaled(rank))});
  const config = CONFIGS[type]?.(sizes, setting) ?? asOptions();
  return createAdapter({type, ...config} as AdapterConfig).getConfig();
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
  return options.lr ?? definitionOf(options.adapter).learningRate ?? 3e-3;
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
