import type {AdapterConfig, LimeModuleConfig} from '@tfjs-peft/layers';
import type {ZeroRouterConfig} from '@tfjs-peft/routers';
import {type GoldenCase, NotExpressible} from '../format.js';
import {asStored, cutTo, groupedBy, type Reform} from './expert-weights.js';

export interface ExpertCase {
  config: AdapterConfig;
  reform: Reform;
}

interface LimeData {
  peft: string;
  num_experts: number;
  rank: number;
  alpha?: number;
  temperature?: number;
  gamma_routing?: number;
  theta?: number;
  top_k?: number;
  max_active?: number;
  topk_temperature?: number;
  topk_mode: string;
  normaliser: string;
  routing_streams?: string;
  n_gram?: number;
  jitter?: number;
  use_shared_modulator: boolean;
  layers?: unknown;
}

interface Mor1eData {
  mode?: string;
  r: number;
  r1: number;
  r2: number;
  num_experts: number;
  alpha: number;
  top_k?: number;
  use_intuition: boolean;
  use_router: boolean;
  use_mapper: boolean;
  token_coefficient: number;
  intuition_coefficient: number;
}

const SELECTIONS: Record<string, ZeroRouterConfig['selection']> = {
  auto_sigmoid: 'auto-sigmoid',
  fixed_sigmoid: 'top-k-sigmoid',
  auto_hard: 'auto',
  auto_hard_capped: 'auto',
  fixed_hard: 'top-k',
  argmax: 'top-k',
  all: 'all',
};

/** Option names of the data that mean the same in ours; absent ones keep our defaults. */
function present<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value != null)) as Partial<T>;
}

export function limeCase({config: c, form}: GoldenCase): ExpertCase {
  const config = c as unknown as LimeData;
  const type = {lora: 'lora', dora: 'dora', lora_fa: 'lora-fa', slice: 'slice'}[config.peft];
  if (type === undefined) throw new NotExpressible(`LiME over ${config.peft}: the sites are Dense layers`);
  if (config.layers !== undefined) throw new NotExpressible('a balance loss averaged over layers');
  const selection = SELECTIONS[config.topk_mode];
  if (selection === undefined) throw new NotExpressible(`selection ${config.topk_mode}`);
  const streams = config.routing_streams ?? 'base,delta';
  const router = {
    type: 'zero' as const,
    selection,
    normalizer: config.normaliser === 'token' ? ('token' as const) : ('batch' as const),
    stream: streams.startsWith('base+delta') ? ('sum' as const) : ('base' as const),
    ...present({
      temperature: config.temperature,
      gamma: streams === 'base_only' ? 0 : config.gamma_routing,
      theta: config.theta,
      topK: config.topk_mode === 'argmax' ? 1 : config.top_k,
      maxActive: config.max_active,
      sharpness: config.topk_temperature,
      nGram: config.n_gram,
      jitter: config.jitter,
    }),
  };
  const over = {type, ...present({rank: config.rank, alpha: config.alpha})} as LimeModuleConfig;
  return {
    config: {
      type: 'lime',
      experts: config.num_experts,
      over,
      sharedModulator: config.use_shared_modulator,
      form: form as 'paper' | 'code',
      router,
    },
    reform: type === 'slice' ? cutTo(config.rank) : asStored,
  };
}

export function mor1eCase({config: c}: GoldenCase): ExpertCase {
  const config = c as unknown as Mor1eData;
  const {r, num_experts: experts} = config;
  switch (config.mode) {
    case 'flex':
    case 'rank1':
      return {
        config: {
          type: 'mor1e',
          ...(config.mode === 'flex' ? {mode: 'flex', r1: config.r1, r2: config.r2} : {mode: '1v1', rank: r}),
          intuition: config.use_intuition,
          tokenGate: config.use_router,
          tokenFactor: config.token_coefficient,
          intuitionFactor: config.intuition_coefficient,
          ...(config.use_mapper ? {clusters: 32} : {}),
        },
        reform: asStored,
      };
    case 'lora_moe':
    case 'sira':
      return {
        config: {
          type: 'molora',
          experts,
          rank: r / experts,
          alpha: r / experts,
          router: {type: 'softmax', ...present({topK: config.top_k})},
        },
        reform: groupedBy(experts),
      };
    case 'none':
      return {config: {type: 'lora', rank: r, alpha: config.alpha}, reform: asStored};
    default:
      throw new NotExpressible(`mode ${config.mode ?? 'unnamed'} of MoR1E`);
  }
}
