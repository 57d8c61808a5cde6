import type {AdapterConfig} from '@tfjs-peft/layers';
import type {RouterConfig} from '@tfjs-peft/routers';

export interface SavedCase {
  adapter: AdapterConfig;
  targets: string[];
  alsoTrain?: string[];
}

const EXPERTS = 3;

const ROUTERS: Record<string, RouterConfig> = {
  softmax: {type: 'softmax', experts: EXPERTS, topK: 2, temperature: 0.7},
  zero: {type: 'zero', experts: EXPERTS, nGram: 2},
  'noisy-top-k': {type: 'noisy-top-k', experts: EXPERTS},
  'expert-choice': {type: 'expert-choice', experts: EXPERTS},
  intuition: {type: 'intuition', experts: EXPERTS},
  sentence: {type: 'sentence', experts: EXPERTS, width: 5},
  task: {type: 'task', experts: EXPERTS},
  fixed: {type: 'fixed', experts: EXPERTS, gates: [0.5, 0.3, 0.2]},
  composite: {
    type: 'composite',
    experts: EXPERTS,
    routers: [
      {type: 'softmax', experts: EXPERTS},
      {type: 'task', experts: EXPERTS},
    ],
  },
};

const ADAPTERS: Record<string, AdapterConfig> = {
  lora: {type: 'lora', rank: 2},
  dora: {type: 'dora', rank: 2},
  'lora-fa': {type: 'lora-fa', rank: 2},
  ia3: {type: 'ia3'},
  molora: {type: 'molora', experts: EXPERTS, rank: 2},
  mov: {type: 'mov', experts: EXPERTS},
  'mov-code': {type: 'mov', experts: EXPERTS, form: 'code'},
  mor1e: {type: 'mor1e', r1: 1, r2: 3},
  'mor1e-1v1': {type: 'mor1e', mode: '1v1', rank: 3, clusters: 3},
  lime: {type: 'lime', experts: EXPERTS, over: {type: 'lora', rank: 2}},
  'lime-dora': {type: 'lime', experts: EXPERTS, over: {type: 'dora', rank: 2}, form: 'code'},
  'lime-lora-fa': {type: 'lime', experts: EXPERTS, over: {type: 'lora-fa', rank: 2}},
  'lime-slice': {type: 'lime', experts: EXPERTS, over: {type: 'slice', rank: 2}},
};

const SCALING = ['ia3', 'mov'];
/** What the first version did not have at lookups. */
const NO_LOOKUP = ['mov-code', 'lime-dora', 'lime-slice'];

/** One case for each type and form of adapter, and a MoLoRA for each router. */
export function layersCases(): Record<string, SavedCase> {
  const cases: Record<string, SavedCase> = {};
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    const targets = ['hidden', 'gru', 'conv', 'head'];
    if (!NO_LOOKUP.includes(name)) targets.push('embedding');
    if (SCALING.includes(name)) targets.push('depthwise');
    cases[name] = {adapter, targets};
  }
  for (const [name, router] of Object.entries(ROUTERS)) {
    // The zero router reads the output of a module that all experts share.
    const adapter: AdapterConfig =
      name === 'zero'
        ? {type: 'lime', experts: EXPERTS, over: {type: 'lora', rank: 2}, router}
        : {type: 'molora', experts: EXPERTS, rank: 2, router};
    cases[`router-${name}`] = {adapter, targets: ['hidden']};
  }
  cases['also-train'] = {adapter: {type: 'lora', rank: 2}, targets: ['hidden'], alsoTrain: ['head']};
  return cases;
}

export function graphCases(): Record<string, SavedCase> {
  const cases: Record<string, SavedCase> = {};
  for (const [name, adapter] of Object.entries(ADAPTERS))
    cases[name] = {adapter, targets: ['hidden/MatMul', 'conv/Conv2D', 'head/MatMul']};
  return cases;
}
