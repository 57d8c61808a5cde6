import {type AdapterConfig, createAdapter, type LimeConfig} from '../../../index.js';
import {type DoubleSite, describeAdapter} from '../../../testing/describe-adapter.js';
import {gatesOf, type Matrix, product, softmax, zip} from '../../../testing/double.js';
import {changed, norms} from '../../../testing/low-rank.js';

interface Streams {
  base: Matrix;
  delta: Matrix;
  length: number;
}

interface Options {
  experts: number;
  gamma?: number;
  temperature?: number;
  perBatch?: boolean;
  /** Position that decides for position t of a sequence of so many. */
  anchor?: (t: number, length: number) => number;
  select?: (p: number[]) => number[];
}

const largest = (values: number[]) => Math.max(...values.map(Math.abs));

/** Auto Top-K of the paper. */
const auto =
  (theta: number) =>
  (p: number[]): number[] => {
    const kept = p.map((value) => (value >= theta * Math.max(...p) ? value : 0));
    const total = kept.reduce((sum, value) => sum + value, 0);
    return kept.map((value) => value / total);
  };

/** The released code's soft form of it. */
const sigmoid =
  (theta: number) =>
  (p: number[]): number[] => {
    const soft = p.map((value) => value / (1 + Math.exp(-(value - theta * Math.max(...p)) / 0.5)));
    const total = soft.reduce((sum, value) => sum + value, 0);
    return soft.map((value) => value / total);
  };

function zeroGates(
  {base, delta, length}: Streams,
  {experts, gamma = 0.7, temperature = 0.5, perBatch = false, anchor, select = auto(0.7)}: Options,
): Matrix {
  const normalized = (stream: Matrix): Matrix => {
    const head = stream.map((row) => row.slice(0, experts));
    const anchored = head.filter((_, n) => anchor === undefined || isAnchor(n % length));
    const common = largest(anchored.flat());
    return head.map((row) => row.map((value) => value / (perBatch ? common : largest(row))));
  };
  const isAnchor = (t: number) =>
    Array.from({length}, (_, position) => anchor!(position, length)).includes(t);
  const [frozen, adapted] = [normalized(base), normalized(delta)];
  const p = frozen.map((row, n) =>
    softmax(row.map((value, e) => ((1 - gamma) * value + gamma * adapted[n]![e]!) / temperature)),
  );
  return p.map((_, n) => {
    const t = n % length;
    return select(anchor === undefined ? p[n]! : p[n - t + anchor(t, length)]!);
  });
}

/** z + d ∘ (Σ g p + γ p_s), z and d of a shared low-rank module. */
function lime(
  scale: number,
  options: Options,
  {dora = false, sum = false, withShared = true}: {dora?: boolean; sum?: boolean; withShared?: boolean} = {},
) {
  return ({x, z, act, weight, length}: DoubleSite): Matrix => {
    const [a, b] = [weight('lora_A'), weight('lora_B')];
    const size = dora ? norms(changed(weight('kernel'), a, b, scale)) : [];
    const stretched = (m: Matrix): Matrix =>
      dora ? m.map((row) => row.map((v, j) => (v * weight('magnitude')[0]![j]!) / size[j]!)) : m;
    const base = stretched(z);
    const delta = stretched(product(product(x, a), b).map((row) => row.map((v) => scale * v)));
    const first = sum ? zip(base, delta, (p, q) => p + q) : base;
    const gates = zeroGates({base: first, delta, length}, options);
    const modulation = product(gates, weight('modulators'));
    const extra = (j: number) =>
      withShared ? weight('gamma')[0]![0]! * weight('shared_modulator')[0]![j]! : 0;
    return act(
      base.map((row, n) => row.map((value, j) => value + delta[n]![j]! * (modulation[n]![j]! + extra(j)))),
    );
  };
}

const last = (n: number) => (t: number, length: number) =>
  Math.min(n * Math.floor(t / n) + n - 1, length - 1);
const previous = (n: number) => (t: number) => Math.max(n * Math.floor(t / n) - 1, 0);

describeAdapter({type: 'lime', experts: 3, over: {type: 'lora', rank: 2, alpha: 3}}, lime(1.5, {experts: 3}));
describeAdapter(
  {
    type: 'lime',
    experts: 4,
    over: {type: 'dora', rank: 2, alpha: 2},
    router: {type: 'zero', theta: 0.9, gamma: 0.4, temperature: 0.8},
  },
  lime(1, {experts: 4, gamma: 0.4, temperature: 0.8, select: auto(0.9)}, {dora: true}),
);
describeAdapter(
  {
    type: 'lime',
    experts: 2,
    over: {type: 'lora-fa', rank: 2, alpha: 2},
    sharedModulator: false,
    router: {type: 'zero', nGram: 2},
  },
  lime(1, {experts: 2, anchor: last(2)}, {withShared: false}),
);
describeAdapter(
  {
    type: 'lime',
    experts: 3,
    over: {type: 'lora', rank: 2, alpha: 2},
    router: {type: 'zero', nGram: 2, causal: true},
  },
  lime(1, {experts: 3, anchor: previous(2)}),
);
describeAdapter(
  {
    type: 'lime',
    experts: 3,
    over: {type: 'dora', rank: 1, alpha: 2},
    form: 'code',
    router: {type: 'zero', nGram: 2, theta: 0.5},
  },
  lime(2, {experts: 3, perBatch: true, anchor: last(2), select: sigmoid(0.5)}, {dora: true, sum: true}),
);

/** Over a slice, d is the change of the first columns, and zero elsewhere. */
describeAdapter({type: 'lime', experts: 3, over: {type: 'slice', rank: 2}}, ({x, z, act, weight, length}) => {
  const wide = product(x, weight('slice')).map((row) => [...row, ...z[0]!.slice(2).map(() => 0)]);
  const modulation = product(zeroGates({base: z, delta: wide, length}, {experts: 3}), weight('modulators'));
  const shared = (j: number) => weight('gamma')[0]![0]! * weight('shared_modulator')[0]![j]!;
  return act(
    z.map((row, n) =>
      row.map((value, j) => (j < 2 ? value + wide[n]![j]! * (modulation[n]![j]! + shared(j)) : value)),
    ),
  );
});

/** Any router will do; here one whose gates do not sum to 1, which leaves the shared modulator as it is. */
describeAdapter(
  {type: 'lime', experts: 3, over: {type: 'lora', rank: 2, alpha: 2}, router: {type: 'softmax', topK: 2}},
  ({x, z, act, weight}) => {
    const delta = product(product(x, weight('lora_A')), weight('lora_B'));
    const modulation = product(gatesOf(x, weight('router'), {topK: 2}), weight('modulators'));
    const shared = (j: number) => weight('gamma')[0]![0]! * weight('shared_modulator')[0]![j]!;
    return act(
      z.map((row, n) => row.map((value, j) => value + delta[n]![j]! * (modulation[n]![j]! + shared(j)))),
    );
  },
);

test('lime defaults: 4 experts over LoRA of rank 4, the paper’s router', () => {
  const config = createAdapter({type: 'lime'}).getConfig() as LimeConfig;
  expect(config).toMatchObject({
    type: 'lime',
    experts: 4,
    over: {type: 'lora', rank: 4, alpha: 8},
    sharedModulator: true,
    form: 'paper',
    router: {
      type: 'zero',
      temperature: 0.5,
      gamma: 0.7,
      selection: 'auto',
      theta: 0.7,
      normalizer: 'token',
      nGram: 1,
      anchor: 'last',
    },
  });
  expect(createAdapter(config).getConfig()).toEqual(config);
  const code = createAdapter({type: 'lime', form: 'code', over: {type: 'dora'}}).getConfig() as LimeConfig;
  expect(code.router).toMatchObject({selection: 'auto-sigmoid', normalizer: 'batch', stream: 'sum'});
  expect(createAdapter(code).getConfig()).toEqual(code);
});

it.each<[object, RegExp]>([
  [{over: {type: 'bottleneck'}}, /over: type is 'bottleneck'.*'lora', 'dora', 'lora-fa', 'slice', 'prompt'/],
  [{over: {type: 'slice', alpha: 2}}, /unknown option 'alpha'/],
  [{over: {type: 'lora', rank: 0}}, /rank is 0/],
  [{over: 'lora'}, /over: the config is 'lora'/],
  [{form: 'book'}, /form is 'book'/],
  [{router: {type: 'zero', theta: 1.5}}, /theta is 1.5/],
  [
    {router: {type: 'zero', causal: true, anchor: 'last'}},
    /anchor 'last' lets the earlier tokens.*'previous'/,
  ],
  [{router: {type: 'zero', causal: true, normalizer: 'batch'}}, /normalizer 'batch' lets every token/],
])('refuses %p', (options, message) => {
  expect(() => createAdapter({type: 'lime', ...options} as AdapterConfig)).toThrow(message);
});

it('refuses more experts than the output is wide, and a slice that is wider', () => {
  const add = () => ({
    read() {
      throw new Error('no values here');
    },
  });
  const dims = {inputDim: 4, outputDim: 3};
  expect(() => createAdapter({type: 'lime', experts: 4}).build(dims, add)).toThrow(
    /router reads 4 columns.*3/,
  );
  expect(() =>
    createAdapter({type: 'lime', experts: 2, over: {type: 'slice', rank: 4}}).build(dims, add),
  ).toThrow(/over\.rank is 4.*3 columns/);
});

it.each(['molora', 'mov'] as const)('%s refuses a router that reads a shared module', (type) => {
  expect(() => createAdapter({type, router: {type: 'zero'}})).toThrow(
    /router 'zero' reads the output of a module/,
  );
});
