import {ConfigError, describe, ShapeError} from '@tfjs-peft/kernels';
import type {Codes, Grid, WeightFormat} from '../../format.js';
import {decodeUnit, emptyCodes, gridOf, unitsOf} from '../../matrix.js';
import type {Units} from '../../units.js';
import {rangeOf} from '../nearest.js';
import type {GnpIqConfig} from './config.js';
import {EventRandom} from './random.js';
import type {GnpIqChoice, GnpIqDraw, GnpIqState} from './state.js';

const WHAT = 'gnp-iq quantizer';

function checkLength(name: string, values: ArrayLike<number> | undefined, length: number): void {
  if (values === undefined || values.length === length) return;
  throw new ShapeError(`${WHAT}: ${name} has ${values.length} values. Pass ${length}, one for each weight.`);
}

function checkedUnits(given: ArrayLike<number>, count: number): Uint32Array {
  const wrong = Array.from(given).find((unit) => !Number.isSafeInteger(unit) || unit < 0 || unit >= count);
  if (wrong !== undefined) {
    throw new ConfigError(
      `${WHAT}: units has ${describe(wrong)}. Pass whole numbers from 0 to ${count - 1}.`,
    );
  }
  return Uint32Array.from(new Set(Array.from(given))).sort();
}

/** Which units a draw touches, and the chosen weights among them. */
function chooseUnits(
  {subset, share}: Required<GnpIqConfig>,
  {units: given, elements}: GnpIqChoice,
  units: Units,
  [rows, columns]: readonly [number, number],
  random: EventRandom,
): {touched: Uint32Array; chosen?: ArrayLike<number>} {
  if (subset === 'units') {
    if (elements) {
      throw new ConfigError(`${WHAT}: elements are given, but subset is 'units'. Set subset: 'elements'.`);
    }
    if (given) return {touched: checkedUnits(given, units.count)};
    return {touched: random.choose(Math.ceil(share * units.count), units.count)};
  }
  if (given)
    throw new ConfigError(`${WHAT}: units are given, but subset is 'elements'. Set subset: 'units'.`);
  const length = rows * columns;
  checkLength('elements', elements, length);
  const chosen = elements ?? Uint8Array.from({length}, () => Number(random.uniform() < share));
  const hit = new Uint8Array(units.count);
  for (let at = 0; at < length; at++) {
    if (chosen[at]) hit[units.unitAt(Math.floor(at / columns), at % columns)] = 1;
  }
  return {touched: Uint32Array.from(hit.keys()).filter((unit) => hit[unit]), chosen};
}

/** What a draw does to one unit, in arrays that are used again for the next. */
class UnitDraw {
  readonly codes: Codes;
  readonly noise: Float64Array;
  private readonly base: Float64Array;
  private readonly original: Float64Array;
  private readonly perturbed: Float64Array;
  private readonly decoded: Float64Array;
  private readonly inRange: Uint8Array;
  private readonly factors: Float64Array;
  private readonly chosen: Float64Array;

  constructor(
    private readonly state: GnpIqState,
    private readonly config: Required<GnpIqConfig>,
    private readonly units: Units,
    private readonly weights: ArrayLike<number> | undefined,
  ) {
    const array = () => new Float64Array(units.largest);
    this.codes = emptyCodes(state.matrix.format, units.largest);
    [this.noise, this.base, this.original, this.perturbed] = [array(), array(), array(), array()];
    [this.decoded, this.factors, this.chosen] = [array(), array(), array()];
    this.inRange = new Uint8Array(units.largest);
  }

  /** @returns The new grid, the mean error, and its derivatives by mu and sigma. */
  run(
    unit: number,
    noise: ArrayLike<number> | (() => number),
    chosen: ArrayLike<number> | undefined,
  ): {count: number; grid: Grid; step: number; error: number; byMu: number; bySigma: number} {
    const {state, config, units, codes} = this;
    const {matrix} = state;
    const {format} = matrix;
    const old = gridOf(matrix, unit);
    const count = units.gather(matrix.codes, unit, codes);
    const cut = (values: Float64Array) => values.subarray(0, count);
    const [base, original, perturbed] = [cut(this.base), cut(this.original), cut(this.perturbed)];
    if (this.weights) units.gather(this.weights, unit, original);
    if (config.base === 'original') base.set(original);
    else decodeUnit(format, old, codes.subarray(0, count), base);
    // Where there are no originals, what the codes stood for is all that is known.
    if (!this.weights) original.set(base);
    if (typeof noise === 'function') for (let i = 0; i < count; i++) this.factors[i] = noise();
    else units.gather(noise, unit, this.factors);
    if (chosen) units.gather(chosen, unit, this.chosen);
    const at = config.noiseScope === 'unit' ? unit : 0;
    const [mu, sigma] = [state.mu[at]!, state.sigma[at]!];
    const step = this.stepOf(base, old);
    for (let i = 0; i < count; i++) {
      this.noise[i] = chosen && !this.chosen[i] ? 0 : step * (mu + sigma * this.factors[i]!);
      perturbed[i] = base[i]! + this.noise[i]!;
    }
    const range = rangeOf(perturbed);
    // Not spread: V8 threw away what it had compiled of this loop each time.
    const grid = format.fit(range[0], range[1]);
    format.encode(config.codesFrom === 'base' ? base : perturbed, grid, codes, this.inRange);
    decodeUnit(format, grid, codes.subarray(0, count), this.decoded);
    let error = 0;
    for (let i = 0; i < count; i++) error += (original[i]! - this.decoded[i]!) ** 2;
    const constant = config.codesFrom === 'base' || step === 0;
    const gradients = constant ? {byMu: 0, bySigma: 0} : this.gradients(grid, range, count, chosen);
    return {
      count,
      grid,
      step,
      error: error / count,
      byMu: step * gradients.byMu,
      bySigma: step * gradients.bySigma,
    };
  }

  /** A unit of equal weights is exact where its grid has no steps of its own, and stays as it is. */
  private stepOf(base: Float64Array, {scale}: Grid): number {
    if (this.config.noiseUnit === 'absolute') return 1;
    const [low, high] = rangeOf(base);
    const {zero} = this.state.matrix.format;
    return low === high && (low === 0 || zero === 'offset') ? 0 : scale;
  }

  /** Derivatives of the unit's mean error by mu and sigma, where a step is 1. */
  private gradients(
    grid: Grid,
    [low, high]: readonly [number, number],
    count: number,
    chosen: ArrayLike<number> | undefined,
  ): {byMu: number; bySigma: number} {
    const {format} = this.state.matrix;
    const {original, decoded, perturbed, factors, inRange} = this;
    let [byMu, bySigma, byScale] = [0, 0, 0];
    for (let i = 0; i < count; i++) {
      const slope = (2 * (decoded[i]! - original[i]!)) / count;
      const within = inRange[i] === 1;
      if (within && !(chosen && !this.chosen[i])) {
        byMu += slope;
        bySigma += slope * factors[i]!;
      }
      if (this.config.ste === 'scale') {
        byScale +=
          slope * (unscaled(format, this.codes[i]!, grid) - (within ? perturbed[i]! / grid.scale : 0));
      }
    }
    if (this.config.ste === 'detached') return {byMu, bySigma};
    const [byLow, byHigh] = format.slopes!(low, high);
    for (const [extreme, slope] of [
      [low, byLow],
      [high, byHigh],
    ] as const) {
      const i = perturbed.subarray(0, count).indexOf(extreme);
      if (chosen && !this.chosen[i]) continue;
      byMu += byScale * slope;
      bySigma += byScale * slope * factors[i]!;
    }
    return {byMu, bySigma};
  }
}

/** What the scale multiplies. */
function unscaled({codebook}: WeightFormat, code: number, {zero}: Grid): number {
  return codebook ? codebook[code]! : code - zero;
}

/** The mean over all weights of errors that are means over units. */
export function meanError(errors: Float64Array, units: Units): number {
  let [sum, weights] = [0, 0];
  for (let unit = 0; unit < units.count; unit++) {
    const size = units.size(unit);
    sum += errors[unit]! * size;
    weights += size;
  }
  return sum / weights;
}

/** Perturbs some units and codes them anew; nothing is decided. */
export function drawOnce(
  state: GnpIqState,
  config: Required<GnpIqConfig>,
  original: ArrayLike<number> | undefined,
  choice: GnpIqChoice,
): GnpIqDraw {
  const {matrix} = state;
  const {shape, format} = matrix;
  const length = shape[0] * shape[1];
  checkLength('noise', choice.noise, length);
  const units = unitsOf(matrix);
  const random = new EventRandom(state.seed, state.event);
  const {touched, chosen} = chooseUnits(config, choice, units, shape, random);
  const total = touched.reduce((sum, unit) => sum + units.size(unit), 0);
  const codes = emptyCodes(format, total);
  const noise = new Float32Array(total);
  const scale = new Float32Array(touched.length);
  const array = () => new Float64Array(touched.length);
  const [zero, steps, own, byMu, bySigma] = [array(), array(), array(), array(), array()];
  const errors = state.errors.slice();
  const drawn = new UnitDraw(state, config, units, original);
  const numbers = choice.noise ?? (() => random.normal());
  let at = 0;
  touched.forEach((unit, i) => {
    const {count, grid, step, error, ...by} = drawn.run(unit, numbers, chosen);
    codes.set(drawn.codes.subarray(0, count), at);
    noise.set(drawn.noise.subarray(0, count), at);
    [scale[i], zero[i], steps[i], own[i]] = [grid.scale, grid.zero, step, error];
    byMu[i] = (by.byMu * count) / length;
    bySigma[i] = (by.bySigma * count) / length;
    errors[unit] = error;
    at += count;
  });
  return {
    units: touched,
    ...{scale, zero, steps, codes, noise, errors: own},
    error: meanError(errors, units),
    ...(config.codesFrom === 'perturbed' && {gradients: {mu: byMu, sigma: bySigma}}),
  };
}
