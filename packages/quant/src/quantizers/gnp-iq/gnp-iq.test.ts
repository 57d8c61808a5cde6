import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {
  createFormat,
  type FormatConfig,
  fromPacked,
  type GnpIqConfig,
  GnpIqQuantizer,
  type GnpIqState,
  toPacked,
  Units,
} from '../../index.js';
import {normals} from '../../testing/numbers.js';
import {meanError} from './draw.js';

const shape = [768, 10] as const;
const weights = normals(shape[0] * shape[1], 11).map((weight, at) => weight * 0.02 * (1 + (at % 5)));
const WIDTHS = ['int8', 'int4', 'int3', 'int2'] as const;
type Width = (typeof WIDTHS)[number];

const warn = jest.spyOn(console, 'warn').mockImplementation();
afterAll(() => warn.mockRestore());

function run(config: Partial<GnpIqConfig>, format: FormatConfig, events = 50) {
  const gnp = new GnpIqQuantizer({type: 'gnp-iq', ...config});
  const first = gnp.start(weights, shape, createFormat(format));
  let state = first;
  for (let event = 0; event < events; event++) {
    const draw = gnp.draw(state, weights);
    state = gnp.learn(gnp.decide(state, draw).state, draw);
  }
  return {first, state, ratio: error(state) / error(first)};
}

const error = ({errors, matrix}: GnpIqState) => meanError(errors, new Units(shape, matrix.format.group!));
const channelwise = (type: Width, more: object = {}): FormatConfig => ({type, group: 'channel', ...more});

describe('the default', () => {
  it.each(WIDTHS)('%s: no unit is ever worse than plain min-max, event by event', (type) => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', share: 0.4});
    let state = gnp.start(weights, shape, createFormat(channelwise(type)));
    const plain = error(state);
    for (let event = 0; event < 12; event++) {
      const draw = gnp.draw(state, weights);
      const next = gnp.learn(gnp.decide(state, draw).state, draw);
      next.errors.forEach((own, unit) => {
        expect(own).toBeLessThanOrEqual(state.errors[unit]!);
      });
      state = next;
    }
    expect(error(state) / plain).toBeLessThanOrEqual(1);
    expect(error(state) / plain).toBeGreaterThan(0.93);
  });

  it('gains little: noise on the codes is noise in the weights, and sigma is trained towards 0', () => {
    const {state, ratio} = run({}, channelwise('int4'));
    expect(ratio).toBeGreaterThan(0.97);
    expect(ratio).toBeLessThanOrEqual(1);
    expect(Math.max(...state.sigma)).toBeLessThan(0.01);
    expect(Math.max(...state.mu.map(Math.abs))).toBeLessThan(0.1);
  });
});

describe("codesFrom: 'base'", () => {
  // At this size; with fewer rows in a unit the gain is larger.
  it.each<[Width, number, number]>([
    ['int8', 0.95, 1],
    ['int4', 0.88, 0.96],
    ['int3', 0.82, 0.92],
    ['int2', 0.7, 0.96],
  ])('%s: 50 draws of the range lower the error, to between %d and %d of plain min-max', (type, from, to) => {
    const {ratio, state} = run({codesFrom: 'base'}, channelwise(type));
    expect(ratio).toBeGreaterThan(from);
    expect(ratio).toBeLessThan(to);
    // There is no gradient to train them by.
    expect(state.sigma.every((sigma) => sigma === 0.25)).toBe(true);
  });
});

describe('named readings', () => {
  it('literal floor: the learned mean goes to half a step, and the error falls to that of rounding to nearest', () => {
    for (const type of ['int8', 'int4', 'int3'] as const) {
      const {state, ratio} = run({accept: false, sigma: 0.05}, channelwise(type, {rounding: 'floor'}), 30);
      const mean = state.mu.reduce((sum, mu) => sum + mu, 0) / state.mu.length;
      expect(mean).toBeGreaterThan(0.4);
      expect(mean).toBeLessThan(0.6);
      expect(ratio).toBeGreaterThan(0.2);
      expect(ratio).toBeLessThan(0.46);
    }
  });

  it.each([
    [0.1, 0],
    [0.3, 0],
    [0.2, 0.3],
  ])(
    'without accept, noise of σ %d and μ %d steps adds 12 (σ² + μ²) times the error of rounding',
    (sigma, mu) => {
      for (const type of ['int8', 'int4'] as const) {
        const {ratio} = run({accept: false, sigma, mu, learningRate: 0}, channelwise(type), 1);
        const want = 1 + 12 * (sigma ** 2 + mu ** 2);
        expect(Math.abs(ratio / want - 1)).toBeLessThan(type === 'int8' ? 0.05 : 0.15);
      }
    },
  );

  it('without the originals the error grows event by event, the more the fewer bits there are', () => {
    const grown = WIDTHS.map(
      (type) =>
        run({base: 'previous', accept: false, sigma: 0.1, learningRate: 0}, channelwise(type), 10).ratio,
    );
    expect(grown[0]).toBeGreaterThan(1.01);
    expect([...grown].sort((a, b) => a - b)).toEqual(grown);
    expect(grown[3]).toBeGreaterThan(1.5);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("base 'previous'"));
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('literal floor without the originals and without noise loses a code an event, and is refused', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', base: 'previous', sigma: 0});
    const floor = createFormat(channelwise('int4', {rounding: 'floor'}));
    const attempt = () => gnp.start(weights, shape, floor);
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(/base 'previous', rounding 'floor' and sigma 0.*Set base: 'original'/);
    expect(() => gnp.start(weights, shape, createFormat(channelwise('int4')))).not.toThrow();
    // Nor can sigma become 0 behind its back.
    const noisy = new GnpIqQuantizer({type: 'gnp-iq', base: 'previous'});
    const state = noisy.start(weights, shape, floor);
    const still = {...state, sigma: state.sigma.map(() => 0)};
    expect(() => noisy.draw(still, weights)).toThrow(/sigma 0/);
  });
});

describe('gradients', () => {
  const small = [12, 3] as const;
  const some = weights.slice(0, 36);

  /** Error_q as the straight-through estimator sees it: codes stay, the grid moves as `ste` says. */
  function surrogate(config: GnpIqConfig, by: 'mu' | 'sigma', unit: number): {got: number; want: number} {
    const gnp = new GnpIqQuantizer(config);
    const format = createFormat({type: 'int3', group: 5});
    const noise = normals(36, 9);
    const state = gnp.start(some, small, format);
    const units = new Units(small, 5);
    const draw = gnp.draw(state, some, {noise});
    const at = (step: number): number => {
      let sum = 0;
      let place = 0;
      draw.units.forEach((own, i) => {
        const size = units.size(own);
        const [own_, base] = [new Float64Array(size), new Float64Array(size)];
        units.gather(noise, own, own_);
        units.gather(some, own, base);
        const shift = own === unit || config.noiseScope === 'scalar' ? step : 0;
        const old = config.noiseUnit === 'absolute' ? 1 : state.matrix.scale[own]!;
        const [mu, sigma] = [0.1 + (by === 'mu' ? shift : 0), 0.2 + (by === 'sigma' ? shift : 0)];
        const moved = base.map((value, k) => value + old * (mu + sigma * own_[k]!));
        const first = base.map((value, k) => value + old * (0.1 + 0.2 * own_[k]!));
        const [s0, z] = [draw.scale[i]!, draw.zero[i]!];
        const range = (values: Float64Array) => Math.max(0, ...values) - Math.min(0, ...values);
        const s = config.ste === 'scale' ? s0 + (range(moved) - range(first)) / 7 : s0;
        for (let k = 0; k < size; k++) {
          const code = draw.codes[place + k]!;
          const quotient = first[k]! / s0;
          const inRange = Math.round(quotient) + z >= 0 && Math.round(quotient) + z <= 7;
          // In range: s (w'/s + what rounding added); clamped: s (code - z).
          const value = inRange ? moved[k]! + s * (code - z - quotient) : s * (code - z);
          sum += (value - base[k]!) ** 2 / 36;
        }
        place += size;
      });
      return sum;
    };
    const gradients = draw.gradients![by];
    const got = config.noiseScope === 'scalar' ? gradients.reduce((a, b) => a + b, 0) : gradients[unit]!;
    return {got, want: (at(1e-5) - at(-1e-5)) / 2e-5};
  }

  const base = {type: 'gnp-iq', mu: 0.1, sigma: 0.2} as const;
  it.each<[string, GnpIqConfig]>([
    ['detached', base],
    ['through the scale', {...base, ste: 'scale'}],
    ['one mu and sigma for all', {...base, ste: 'scale', noiseScope: 'scalar'}],
    ['noise as the weights', {...base, ste: 'scale', noiseUnit: 'absolute'}],
  ])('%s: are those of differences', (_name, config) => {
    for (const by of ['mu', 'sigma'] as const) {
      for (const unit of [0, 4, 8]) {
        const {got, want} = surrogate(config, by, unit);
        // Scales are float32; the gradients are of the order of 1e-5.
        expect(Math.abs(got - want)).toBeLessThan(1e-3 * Math.abs(want) + 1e-9);
      }
    }
  });
});

describe('steps', () => {
  const format = createFormat({type: 'int4', group: 32});

  it('leave the state that they are given as it is', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', accept: false});
    const state = gnp.start(weights, shape, format);
    const copy = structuredClone({...state, matrix: {...state.matrix, format: undefined}});
    const draw = gnp.draw(state, weights);
    gnp.learn(gnp.decide(state, draw).state, draw);
    expect({...state, matrix: {...state.matrix, format: undefined}}).toEqual(copy);
  });

  it('go on from packed codes as from their own state', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', share: 0.5, codesFrom: 'base'});
    let state = gnp.start(weights, shape, format, 5);
    for (let i = 0; i < 3; i++) state = gnp.decide(state, gnp.draw(state, weights)).state;
    const read = gnp.resume(fromPacked(toPacked(state.matrix), format), weights, 5);
    expect(read.errors).toEqual(state.errors);
    expect(gnp.draw({...read, event: 3}, weights)).toEqual(gnp.draw(state, weights));
    expect(() => gnp.resume(state.matrix, weights.slice(1))).toThrow(ShapeError);
  });

  it('draw the same from the same seed and event, and something else otherwise', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', share: 0.1});
    const state = gnp.start(weights, shape, format);
    const draw = gnp.draw(state, weights);
    expect(gnp.draw(state, weights)).toEqual(draw);
    expect(draw.units).toHaveLength(24);
    for (const other of [
      {...state, event: 1},
      {...state, seed: 1},
    ]) {
      expect(gnp.draw(other, weights).units).not.toEqual(draw.units);
      expect(gnp.draw(other, weights).noise).not.toEqual(draw.noise);
    }
  });

  it('change the units that were drawn alone', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', accept: false, sigma: 0.4});
    const state = gnp.start(weights, shape, format);
    const draw = gnp.draw(state, weights, {units: [3, 100, 3]});
    expect([...draw.units]).toEqual([3, 100]);
    const {state: next, accepted} = gnp.decide(state, draw);
    expect([...accepted]).toEqual([1, 1]);
    const units = new Units(shape, 32);
    const changed = new Set<number>();
    next.matrix.codes.forEach((code, at) => {
      if (code !== state.matrix.codes[at]) changed.add(units.unitAt(Math.floor(at / 10), at % 10));
    });
    expect([...changed].sort((a, b) => a - b)).toEqual([3, 100]);
  });

  it('perturb chosen weights alone, and code their units anew', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', subset: 'elements', accept: false});
    const state = gnp.start(weights, shape, format);
    const elements = new Uint8Array(weights.length);
    elements[0] = 1;
    elements[40 * 10 + 5] = 1;
    const draw = gnp.draw(state, weights, {elements});
    expect([...draw.units]).toEqual([0, 10 + 5]);
    expect(draw.noise.filter((value) => value !== 0)).toHaveLength(2);
    const some = gnp.draw({...state, event: 3}, weights);
    expect(some.units.length).toBe(24 * 10);
    const few = new GnpIqQuantizer({type: 'gnp-iq', subset: 'elements', share: 0.05}).draw(state, weights);
    const share = few.noise.filter((value) => value !== 0).length / weights.length;
    expect(share).toBeGreaterThan(0.04);
    expect(share).toBeLessThan(0.06);
  });

  it('need no originals where noise is added to what the codes stand for and nothing is compared', () => {
    const gnp = new GnpIqQuantizer({type: 'gnp-iq', base: 'previous', accept: false});
    const state = gnp.start(weights, shape, format);
    expect(gnp.draw(state).error).toBeGreaterThan(0);
    const strict = new GnpIqQuantizer({type: 'gnp-iq', base: 'previous'});
    expect(() => strict.draw(state)).toThrow(/accept true need the original weights/);
  });

  it('work on a codebook, whose scale is the one thing to move', () => {
    const nf4: FormatConfig = {type: 'nf4', group: 64};
    expect(run({codesFrom: 'base'}, nf4, 20).ratio).toBeLessThan(0.97);
    expect(run({ste: 'scale'}, nf4, 5).ratio).toBeLessThanOrEqual(1);
  });
});

test.each<[string, Partial<GnpIqConfig>, RegExp]>([
  ['an unknown option', {draw: 1} as object, /unknown option 'draw'.*codesFrom/],
  ['an unknown source of codes', {codesFrom: 'noise' as 'base'}, /codesFrom is 'noise'/],
  ['a share beyond all', {share: 1.1}, /share is 1.1.*from 0 to 1/],
  ['a negative sigma', {sigma: -1}, /sigma is -1/],
  ['a mean that is no number', {mu: Number.NaN}, /mu is NaN/],
  ['absolute noise of no size', {noiseUnit: 'absolute'}, /sigma is missing.*Set sigma/],
  ['too many draws', {draws: 1e9}, /draws is 1000000000/],
  ['a seed that is no integer', {seed: 0.5}, /seed is 0.5/],
])('%s is refused', (_name, config, message) => {
  const attempt = () => new GnpIqQuantizer({type: 'gnp-iq', ...config});
  expect(attempt).toThrow(ConfigError);
  expect(attempt).toThrow(message);
});

test('choices that do not fit are refused', () => {
  const gnp = new GnpIqQuantizer({type: 'gnp-iq'});
  const state = gnp.start(weights, shape, createFormat('int4'));
  expect(() => gnp.draw(state)).toThrow(/need the original weights/);
  expect(() => gnp.draw(state, weights.slice(1))).toThrow(ShapeError);
  expect(() => gnp.draw(state, weights, {noise: [1]})).toThrow(/noise has 1 values/);
  expect(() => gnp.draw(state, weights, {units: [1e9]})).toThrow(/units has 1000000000.*0 to 239/);
  expect(() => gnp.draw(state, weights, {elements: weights})).toThrow(/subset is 'units'/);
  const elements = new GnpIqQuantizer({type: 'gnp-iq', subset: 'elements'});
  expect(() => elements.draw(state, weights, {units: [0]})).toThrow(/subset is 'elements'/);
  expect(() => elements.draw(state, weights, {elements: [1]})).toThrow(/elements has 1 values/);
  expect(() => gnp.start(weights, shape, createFormat('bf16'))).toThrow(/'bf16' has no scales to choose/);
  const scale = new GnpIqQuantizer({type: 'gnp-iq', ste: 'scale'});
  const float = createFormat({type: 'int4', offset: 'float'});
  expect(() => scale.start(weights, shape, float)).toThrow(/ste 'scale' holds the zero point constant/);
});
