import type {AdapterConfig, LimeConfig, LimeModuleConfig} from '@tfjs-peft/layers';
import type {ZeroRouterConfig} from '@tfjs-peft/routers';
import {type Golden, type GoldenCase, NotExpressible, tensorOf} from '../format.js';
import {asStored, cutTo, groupedBy, type Reform} from './expert-weights.js';

export interface ExpertCase {
  config: AdapterConfig;
  reform: Reform;
  /** Names of the layer's weights where they are not the usual ones. */
  names?: Record<string, string>;
}

interface LimeData {
  peft: string;
  scale?: number;
  eps?: number;
  dropout?: number;
  training?: boolean;
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
  n_gram_applied?: boolean;
  jitter?: number;
  use_shared_modulator: boolean;
  virtual_tokens?: number;
  learnable_base?: boolean;
  input_conditioned?: boolean;
  conditioning?: string;
  input_projection?: boolean;
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
  dropout?: number;
  training?: boolean;
  logit_scale?: number;
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

const STREAMS = ['base,delta', 'base+delta,delta', 'base_only', 'prompt+input,delta', 'prompt,delta'];
const NORMALIZERS: Record<string, 'token' | 'batch'> = {token: 'token', batch_slice: 'batch'};
const MODULES: Record<string, LimeModuleConfig['type']> = {
  lora: 'lora',
  lora_embedding: 'lora',
  dora: 'dora',
  lora_fa: 'lora-fa',
  lora_fa_embedding: 'lora-fa',
  dora_embedding: 'dora',
  slice: 'slice',
  slice_embedding: 'slice',
};
/**
 * At an Embedding the data look `lora_b` up by the token's number, save in the released LoRA, whose factors
 * act on the vector; the layers call the factor at the input A.
 */
const SWAPPED = {lora_a: 'lora_B', lora_b: 'lora_A'};
/** Divides by at least so much, in the data and in ours. */
const NORM_FLOOR = 1e-6;

function moduleOf(config: LimeData): LimeConfig['over'] {
  if (config.peft === 'prompt') {
    const conditioning = config.input_conditioned ? (config.conditioning ?? 'mean') : 'none';
    if (!['mean', 'first', 'last', 'attention', 'none'].includes(conditioning)) {
      throw new NotExpressible(`a prompt conditioned by ${conditioning}`);
    }
    return {
      type: 'prompt',
      virtualTokens: config.virtual_tokens!,
      learnableBase: config.learnable_base === true,
      conditioning: conditioning as 'mean',
      inputProjection: config.input_projection === true,
    };
  }
  const type = Object.hasOwn(MODULES, config.peft) ? MODULES[config.peft]! : undefined;
  if (type === undefined) throw new NotExpressible(`LiME over ${config.peft}`);
  const alpha = config.alpha ?? (config.scale == null ? undefined : config.scale * config.rank);
  return {type, ...present({rank: config.rank, ...(type !== 'slice' && {alpha})})} as LimeModuleConfig;
}

function routerOf(config: LimeData): LimeConfig['router'] {
  const selection = SELECTIONS[config.topk_mode];
  if (selection === undefined) throw new NotExpressible(`selection ${config.topk_mode}`);
  const normalizer = NORMALIZERS[config.normaliser];
  if (normalizer === undefined) throw new NotExpressible(`normaliser ${config.normaliser}`);
  const streams = config.routing_streams ?? 'base,delta';
  if (!STREAMS.includes(streams)) throw new NotExpressible(`routing streams ${streams}`);
  return {
    type: 'zero',
    selection,
    normalizer,
    stream: streams.startsWith('base+delta') ? 'sum' : 'base',
    ...present({
      temperature: config.temperature,
      gamma: streams === 'base_only' ? 0 : config.gamma_routing,
      theta: config.theta,
      topK: config.topk_mode === 'argmax' ? 1 : config.top_k,
      maxActive: config.topk_mode === 'auto_hard_capped' ? config.max_active : undefined,
      sharpness: config.topk_temperature,
      nGram: config.n_gram_applied === false ? 1 : config.n_gram,
      jitter: config.jitter,
    }),
  };
}

/** Whether a case's inputs are numbers of tokens. */
export function isLookup(tensors: Map<string, Golden>): boolean {
  return tensors.has('in.ids');
}

/** The data say what is dropped by `in.dropout_scale`; without it the layer cannot drop the same. */
function dropoutOf(
  {dropout, training}: {dropout?: number; training?: boolean},
  tensors: Map<string, Golden>,
): {dropout?: number} {
  if (!dropout || training === false) return {};
  if (!tensors.has('in.dropout_scale')) throw new NotExpressible('dropout without in.dropout_scale');
  return {dropout};
}

export function limeCase({config: c, form}: GoldenCase, tensors: Map<string, Golden>): ExpertCase {
  const config = c as unknown as LimeData;
  if (config.eps != null && config.eps !== NORM_FLOOR) {
    throw new NotExpressible(`a normaliser's floor of ${config.eps}`);
  }
  const over = moduleOf(config)!;
  return {
    config: {
      type: 'lime',
      experts: config.num_experts,
      over,
      sharedModulator: config.use_shared_modulator,
      form: form as 'paper' | 'code',
      router: routerOf(config)!,
      ...dropoutOf(config, tensors),
    },
    reform: over.type === 'slice' ? cutTo(config.rank) : asStored,
    ...(isLookup(tensors) && config.peft !== 'lora_embedding' && {names: SWAPPED}),
  };
}

export function mor1eCase({config: c}: GoldenCase, tensors: Map<string, Golden>): ExpertCase {
  const config = c as unknown as Mor1eData;
  const dropout = dropoutOf(config, tensors);
  if (config.logit_scale != null && config.logit_scale !== 100) {
    throw new NotExpressible(`scalars that are multiplied by ${config.logit_scale}`);
  }
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
          ...(config.use_mapper && {clusters: tensorOf(tensors, 'param.intuition_mapper').shape[0]!}),
          ...dropout,
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
          ...dropout,
        },
        reform: groupedBy(experts),
      };
    case 'none':
      return {config: {type: 'lora', rank: r, alpha: config.alpha, ...dropout}, reform: asStored};
    default:
      throw new NotExpressible(`mode ${config.mode ?? 'unnamed'} of MoR1E`);
  }
}
