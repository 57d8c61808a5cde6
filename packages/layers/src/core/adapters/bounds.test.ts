import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {ConfigError, PeftError} from '@tfjs-peft/kernels';
import {createRouter, type RouterConfig} from '@tfjs-peft/routers';
import {
  type AdapterConfig,
  adapterShapes,
  countTrainable,
  createAdapter,
  moloraDense,
  upgrade,
} from '../../index.js';
import {ADAPTERS as EXAMPLES} from '../../testing/adapters.js';

/** Every adapter and router, with all of their numbers. */
const ADAPTERS: AdapterConfig[] = [
  ...EXAMPLES.map((example) => createAdapter(example).getConfig()).filter(
    (config) => numbersOf(config).length > 0,
  ),
  {type: 'mor1e', r1: 2, r2: 2, tokenFactor: 2, intuitionFactor: 2, clusters: 3},
  {type: 'lime', experts: 2, over: {type: 'prompt', virtualTokens: 2}},
];
const ROUTERS = [
  {type: 'softmax', experts: 2, temperature: 1, topK: 1, jitter: 0.1},
  {type: 'noisy-top-k', experts: 2, topK: 1, noise: 1, balance: 1, zLoss: 1},
  {type: 'expert-choice', experts: 2, capacity: 1},
  {
    type: 'zero',
    experts: 2,
    temperature: 1,
    gamma: 0.5,
    theta: 0.5,
    topK: 1,
    maxActive: 1,
    sharpness: 1,
    nGram: 2,
    jitter: 0.1,
    importance: 1,
    divergence: 1,
  },
  {type: 'intuition', experts: 2, temperature: 1},
  {type: 'sentence', experts: 2, width: 3, temperature: 1},
  {type: 'task', experts: 2, assign: [0, 1]},
  {type: 'fixed', experts: 2, gates: [0.5, 0.5]},
  {type: 'composite', experts: 2, routers: [{type: 'softmax', temperature: 1}], weights: [1]},
] as RouterConfig[];
const DIMS = {inputDim: 8, outputDim: 4};

type Json = Record<string, unknown>;

/** Paths of all numbers in a config. */
function numbersOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value === 'number') return [path];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => numbersOf(part, [...path, key]));
}

function withValue<C>(config: C, [key, ...rest]: (string | number)[], value: unknown): C {
  const copy = (Array.isArray(config) ? [...config] : {...config}) as Json;
  copy[key!] = rest.length === 0 ? value : withValue(copy[key!], rest, value);
  return copy as C;
}

/**
 * What becomes of a config: 'good', or the message of its typed error. Any other error
 * fails, and so does what takes long.
 */
function outcome(run: () => unknown): string {
  const start = performance.now();
  try {
    run();
    return 'good';
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  } finally {
    expect(performance.now() - start).toBeLessThan(2000);
  }
}

const NEVER = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  '3',
  null,
  3n,
  true,
  () => 3,
  [3],
  {},
  1e308,
];
const COUNTS = /^(experts|rank|r1|r2|clusters|virtualTokens|heads|topK|maxActive|width|assign|0)$/;

const RUNS: [string, object, (config: never) => unknown][] = [
  ...ADAPTERS.map((config): [string, object, (config: never) => unknown] => [
    JSON.stringify(config),
    config,
    (given) => {
      createAdapter(given);
      return [countTrainable(given, DIMS), adapterShapes(given, DIMS)];
    },
  ]),
  ...ROUTERS.map((config): [string, object, (config: never) => unknown] => [
    JSON.stringify(config),
    config,
    (given) => createRouter(given).build(8, () => ({read: () => tf.scalar(0)})),
  ]),
  ...ROUTERS.map(({experts: _, ...router}): [string, object, (config: never) => unknown] => [
    `lime over ${JSON.stringify(router)}`,
    {type: 'lime', experts: 2, router},
    (given) => countTrainable(given, DIMS),
  ]),
];

describe.each(RUNS)('%s', (_, config, run) => {
  const paths = numbersOf(config);

  it('is good as it is', () => {
    expect(outcome(() => run(config as never))).toBe('good');
  });

  // An adapter may have no number.
  if (paths.length === 0) return;

  it.each(paths.map((path) => [path.join('.'), path] as const))('bounds %s at once', (_, path) => {
    const key = String(path.at(-1));
    const given = (value: unknown) => outcome(() => run(withValue(config, path, value) as never));
    for (const value of NEVER) expect(given(value)).toContain(key.replace(/^\d+$/, ''));
    const isCount = COUNTS.test(key) && !path.includes('gates') && !path.includes('weights');
    for (const value of [1e9, 2 ** 53 - 1]) {
      if (isCount) expect(given(value)).toContain(value === 1e9 ? '1000000000' : '9007199254740991');
      else given(value);
    }
    for (const value of [-1, 0.5]) {
      if (isCount) expect(given(value)).not.toBe('good');
      else given(value);
    }
  });
});

describe('upgrade', () => {
  beforeAll(() => tf.setBackend('cpu'));
  const net = () => tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [8], name: 'hidden'})]});

  it.each([
    {type: 'molora', experts: 60_000, rank: 60_000},
    {type: 'mor1e', r1: 60_000, r2: 60_000},
    {type: 'lora', rank: 1e9},
  ] as AdapterConfig[])('refuses %j before it makes a tensor', async (adapter) => {
    const model = net();
    const before = tf.memory().numBytes;
    await expect(upgrade(model, {adapter})).rejects.toThrow(ConfigError);
    expect(tf.memory().numBytes).toBe(before);
  });

  it('refuses a drop-in layer of too many parameters when it is built', () => {
    const layer = moloraDense({units: 4, experts: 60_000, rank: 60_000});
    expect(() => layer.build([null, 8])).toThrow(/molora adapter.*above 536870912 parameters/s);
  });

  it('refuses an adapter that is too large at all places together', async () => {
    const layers = Array.from({length: 5}, () => tf.layers.dense({units: 32, inputShape: [32]}));
    const adapter: AdapterConfig = {type: 'molora', experts: 100, rank: 60_000};
    await expect(upgrade(tf.sequential({layers}), {adapter})).rejects.toThrow(/at 5 layers/);
  });
});

describe('a config', () => {
  const circular: Json = {type: 'lora'};
  circular.rank = circular;
  const deep = Array.from({length: 20_000}).reduce((inner) => ({routers: [inner]}), {type: 'softmax'});
  const throws = {
    type: 'lora',
    get rank(): number {
      throw new Error('not today');
    },
  };
  const proxy: object = new Proxy({type: 'lora'}, {ownKeys: () => ['type', 'a'], get: () => proxy});
  const disposed = tf.scalar(1);
  disposed.dispose();
  class Lora {
    type = 'lora';
  }
  const BAD: [string, unknown, RegExp][] = [
    ['contains itself', circular, /contains itself/],
    ['is nested without end', {type: 'molora', router: deep}, /deeper than 32/],
    [
      'has 200,000 routers side by side',
      {type: 'molora', router: {type: 'composite', routers: Array(200_000).fill({type: 'softmax'})}},
      /more than 100000 values/,
    ],
    [
      'has a list longer than memory',
      {type: 'molora', router: {type: 'fixed', gates: Array(2 ** 32 - 1)}},
      /more than 100000 values/,
    ],
    ['has deep unknown fields', {type: 'lora', extra: deep}, /deeper than 32/],
    [
      'has a text of a million letters',
      {type: 'lora', rank: 'x'.repeat(1e6)},
      /string of 1000000 characters/,
    ],
    ['has a long unknown name', {type: 'lora', ['x'.repeat(1e6)]: 1}, /unknown option/],
    ['has a BigInt', {type: 'lora', rank: 4n}, /rank is 4n/],
    ['has a function', {type: 'lora', rank: () => 4}, /rank is a function/],
    ['has a symbol', {type: 'lora', rank: Symbol('r')}, /rank is Symbol\(r\)/],
    ['has a disposed tensor', {type: 'lora', rank: disposed}, /rank is a Tensor/],
    ['has a getter that throws', throws, /cannot be read \('not today'\)/],
    ['is an endless proxy', proxy, /deeper than 32/],
    ['is an instance', new Lora(), /is a Lora/],
    ['is a Map', new Map([['type', 'lora']]), /is a Map/],
    ['has a router that is null', {type: 'molora', router: null}, /router is null/],
    ['has a module that is null', {type: 'lime', over: null}, /config is null/],
    ['has a type that is a BigInt', {type: 3n}, /type is 3n/],
    ['is null', null, /config is null/],
    ['is a symbol', Symbol('a'), /config is Symbol\(a\)/],
  ];

  it.each(BAD)('that %s is refused by name', async (_, config, message) => {
    const adapter = config as AdapterConfig;
    const model = tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [8]})]});
    for (const run of [() => createAdapter(adapter), () => countTrainable(adapter, DIMS)]) {
      expect(outcome(run)).toMatch(message);
    }
    await expect(upgrade(model, {adapter})).rejects.toThrow(message);
    await expect(upgrade(model, {adapter})).rejects.toThrow(ConfigError);
  });

  it('that upgrade gets as a whole is read and bounded in the same way', async () => {
    const model = tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [8]})]});
    const lora = {type: 'lora'};
    const getter = {
      adapter: lora,
      get targets(): string {
        throw new Error('not today');
      },
    };
    for (const [config, message] of [
      [getter, /cannot be read \('not today'\)/],
      [{adapter: lora, name: 'n'.repeat(1e6)}, /name has 1000000 characters/],
      [{adapter: lora, name: null}, /name is null/],
      [{adapter: lora, name: 3n}, /name is 3n/],
      [{adapter: lora, targets: circular}, /targets is/],
      [{adapter: lora, targets: Array(2e5).fill('x')}, /targets: 'x' matches no layer/],
      [{adapter: lora, targets: [circular]}, /unknown option/],
      [{adapter: lora, overrides: [{targets: ['dense'], adapter: circular}]}, /contains itself/],
      [{adapter: lora, seed: Symbol('s')}, /seed is Symbol\(s\)/],
      [{adapter: lora, alsoTrain: 3n}, /alsoTrain is 3n/],
      [null, /config is null/],
    ] as [unknown, RegExp][]) {
      const upgrading = upgrade(model, config as never);
      await expect(upgrading).rejects.toThrow(message);
      await expect(upgrading).rejects.toThrow(PeftError);
    }
  });

  it('of a context is checked for tensors that live', async () => {
    const peft = await upgrade(tf.sequential({layers: [tf.layers.dense({units: 4, inputShape: [8]})]}), {
      adapter: {type: 'lora'},
    });
    expect(() => peft.setContext({task: disposed})).toThrow(/task is a disposed tensor/);
    expect(() => peft.setContext({task: 3n as never})).toThrow(ConfigError);
    expect(() => peft.trackUsage({tasks: 1e9})).toThrow(/tasks is 1000000000/);
  });

  it('may have a key called __proto__, which is unknown like any other', () => {
    const adapter = JSON.parse('{"type": "lora", "__proto__": {"rank": 3}}') as AdapterConfig;
    expect(() => createAdapter(adapter)).toThrow(/unknown option '__proto__'/);
  });

  it('is read once: a later change of the object changes nothing', async () => {
    const router = {type: 'fixed', gates: [1, 0]} as const;
    const made = createAdapter({type: 'molora', experts: 2, router} as unknown as AdapterConfig);
    (router.gates as unknown as number[])[0] = 5;
    expect(made.getConfig()).toMatchObject({router: {gates: [1, 0]}});
  });
});
