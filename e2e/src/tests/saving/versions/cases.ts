import {type AdapterConfig, adapterDefinitions, createAdapter} from '@tfjs-peft/layers';
import {type RouterConfig, routerDefinitions} from '@tfjs-peft/routers';

export interface SavedCase {
  adapter: AdapterConfig;
  targets: string[];
  alsoTrain?: string[];
}

const EXPERTS = 3;

/** Every example of the registry, by its type; the second of a type is called `<type>-2`, and so on. */
function named<T extends {type: string}>(examples: readonly T[]): Record<string, T> {
  const cases: Record<string, T> = {};
  for (const example of examples) {
    const before = examples.filter(
      (other, i) => other.type === example.type && i < examples.indexOf(example),
    );
    cases[before.length === 0 ? example.type : `${example.type}-${before.length + 1}`] = example;
  }
  return cases;
}

const ROUTERS = named(
  routerDefinitions().flatMap(({examples = []}) =>
    // The width of the sentences that the batch brings along.
    examples.map(
      (example) => ({...example, experts: EXPERTS, ...('width' in example && {width: 5})}) as RouterConfig,
    ),
  ),
);

const ADAPTERS = named(adapterDefinitions().flatMap(({examples = []}) => examples as AdapterConfig[]));

/** One case for each example of an adapter, and a MoLoRA for each of a router. */
export function layersCases(): Record<string, SavedCase> {
  const cases: Record<string, SavedCase> = {};
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    const targets = ['hidden', 'gru', 'conv', 'head', 'embedding'];
    if (createAdapter(adapter).scalesOnly) targets.push('depthwise');
    cases[name] = {adapter, targets};
  }
  for (const [name, router] of Object.entries(ROUTERS)) {
    // The zero router reads the output of a module that all experts share.
    const adapter: AdapterConfig =
      router.type === 'zero'
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
