import {
  type AdapterConfig,
  doraDense,
  ia3Dense,
  limeDense,
  loraDense,
  loraFaDense,
  moloraDense,
  mor1eDense,
  movDense,
  type PeftDense,
} from '../index.js';

/** One config of every adapter that a Dense site has, several where it has forms; all of them start as the identity. */
export const ADAPTERS: AdapterConfig[] = [
  {type: 'lora', rank: 2},
  {type: 'dora', rank: 2},
  {type: 'lora-fa', rank: 2},
  {type: 'ia3'},
  {type: 'molora', experts: 3, rank: 2},
  {type: 'mov', experts: 3},
  {type: 'mov', experts: 2, form: 'code'},
  {type: 'mor1e', r1: 2, r2: 3, intuition: false},
  {type: 'mor1e', mode: '1v1', rank: 3, intuition: false},
  {type: 'lime', experts: 3, over: {type: 'lora', rank: 2}},
  {type: 'lime', experts: 2, over: {type: 'dora', rank: 2}, form: 'code'},
  {type: 'lime', experts: 3, over: {type: 'lora-fa', rank: 2}, router: {type: 'softmax', topK: 2}},
  {type: 'lime', experts: 2, over: {type: 'slice', rank: 2}, router: {type: 'zero', nGram: 2}},
];

const FACTORIES = {
  lora: loraDense,
  dora: doraDense,
  'lora-fa': loraFaDense,
  ia3: ia3Dense,
  molora: moloraDense,
  mov: movDense,
  mor1e: mor1eDense,
  lime: limeDense,
};

/** The drop-in layer of a config's adapter. */
export function dropIn({type, ...options}: AdapterConfig, args: object): PeftDense {
  return (FACTORIES[type] as (args: object) => PeftDense)({...options, ...args});
}
