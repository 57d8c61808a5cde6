import {ConfigError} from '@tfjs-peft/kernels';
import {defineQuantizer} from '../../define-quantizer.js';
import type {WeightFormat} from '../../format.js';
import {
  checkWeights,
  decodeUnit,
  emptyCodes,
  gridOf,
  makeGrid,
  type QuantizedMatrix,
  setGrid,
  unitsOf,
} from '../../matrix.js';
import type {Quantizer, QuantizerInput} from '../../quantizer.js';
import {requireGrid} from '../grids.js';
import {quantizeNearest} from '../nearest.js';
import {checkedGnpIq, GNP_IQ_OPTIONS, type GnpIqConfig} from './config.js';
import {drawOnce} from './draw.js';
import type {GnpIqChoice, GnpIqDraw, GnpIqState} from './state.js';

const WHAT = 'gnp-iq quantizer';

let warned = false;

function warnOfDrift(): void {
  if (warned) return;
  warned = true;
  console.warn(
    `${WHAT}: with base 'previous' the weights drift away from the original ones, draw by draw. Set base: ` +
      "'original' where those can be read again.",
  );
}

/**
 * Gaussian noise perturbed iterative quantisation (MP-ISMoE, AAAI-26, eqs 1 to 5): weights are perturbed by
 * N(μ, σ²), grids are laid anew over some of them, and μ and σ follow the gradient of the quantisation error,
 * by a reparameterised sample and a straight-through estimator. No code was published, and the paper does not
 * say how gradients reach μ and σ, nor what becomes of a draw that makes things worse: those choices are
 * options.
 *
 * The steps are pure functions, for a loop of your own or a training callback: {@link start}, then {@link
 * draw}, {@link decide} and {@link learn} for each event.
 *
 * @example
 * ```ts
 * import {createFormat, GnpIqQuantizer} from '@tfjs-peft/quant';
 *
 * const weights = Float32Array.from({length: 64}, (_, i) => Math.sin(i));
 * const gnp = new GnpIqQuantizer({type: 'gnp-iq', codesFrom: 'base', share: 0.5});
 * let state = gnp.start(weights, [16, 4], createFormat('int3'));
 * for (let event = 0; event < 10; event++) {
 *   const draw = gnp.draw(state, weights);
 *   state = gnp.learn(gnp.decide(state, draw).state, draw);
 * }
 * console.log(state.matrix.codes.length); // 64
 * ```
 */
export class GnpIqQuantizer implements Quantizer {
  private readonly config: Required<GnpIqConfig>;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: GnpIqConfig) {
    this.config = checkedGnpIq(WHAT, config);
    if (this.config.base === 'previous') warnOfDrift();
  }

  /** Quantises to nearest, then makes `draws` draws. */
  quantize({weights, shape, format}: QuantizerInput): QuantizedMatrix {
    let state = this.start(weights, shape, format);
    for (let i = 0; i < this.config.draws; i++) {
      const draw = this.draw(state, weights);
      state = this.learn(this.decide(state, draw).state, draw);
    }
    return state.matrix;
  }

  /**
   * Quantises to nearest.
   *
   * @param weights The original weights, row-major [dIn · dOut].
   * @param seed Of the noise; give each matrix its own. Default: the config's.
   * @throws ConfigError if a weight is not finite or the format does not suit; ShapeError if `weights` do not
   * fill `shape`.
   */
  start(
    weights: ArrayLike<number>,
    shape: readonly [number, number],
    format: WeightFormat,
    seed: number = this.config.seed,
  ): GnpIqState {
    requireGrid(WHAT, format);
    return this.resume(quantizeNearest(weights, shape, format), weights, seed);
  }

  /**
   * Goes on from codes that there are, whatever chose them.
   *
   * @param matrix Such as {@link fromPacked} gives.
   * @param weights The original weights, row-major [dIn · dOut].
   * @param seed Of the noise; give each matrix its own. Default: the config's.
   * @throws ConfigError if a weight is not finite or the format does not suit; ShapeError if `weights` do not
   * fill the matrix.
   */
  resume(matrix: QuantizedMatrix, weights: ArrayLike<number>, seed: number = this.config.seed): GnpIqState {
    const {format} = matrix;
    requireGrid(WHAT, format);
    checkWeights(WHAT, weights, matrix.shape);
    const {noiseScope, ste, mu, sigma} = this.config;
    if (ste === 'scale' && format.slopes === undefined) {
      throw new ConfigError(
        `${WHAT}: ste 'scale' holds the zero point constant, which a float offset is not. Set ste: 'detached', or ` +
          "the format's offset to 'integer'.",
      );
    }
    const units = unitsOf(matrix);
    const errors = errorsOf(matrix, weights);
    const length = noiseScope === 'unit' ? units.count : 1;
    const state: GnpIqState = {
      ...{matrix, errors, event: 0, seed},
      mu: new Float64Array(length).fill(mu),
      sigma: new Float64Array(length).fill(sigma),
    };
    this.checkStable(state);
    return state;
  }

  /**
   * Perturbs a share of the units and codes them anew. Nothing is decided: `state` stays as it is.
   *
   * @param original The original weights, row-major [dIn · dOut], as they were at {@link start}. They may be
   * left out with `base: 'previous'` and `accept: false`; errors are then those to the weights before the
   * draw.
   * @param choice Units, weights or noise in place of random ones.
   * @throws ConfigError if `original` is missing or not finite; ShapeError if something has another size.
   */
  draw(state: GnpIqState, original?: ArrayLike<number>, choice: GnpIqChoice = {}): GnpIqDraw {
    const {base, accept} = this.config;
    if (original === undefined && (base === 'original' || accept)) {
      throw new ConfigError(
        `${WHAT}: base '${base}' and accept ${accept} need the original weights. Pass them to draw, or set base: ` +
          "'previous' and accept: false.",
      );
    }
    if (original) checkWeights(WHAT, original, state.matrix.shape);
    this.checkStable(state);
    return drawOnce(state, this.config, original, choice);
  }

  /**
   * Takes a draw over: with `accept`, those units whose error fell; else all that it touched.
   *
   * @returns The state after it, and for each touched unit whether it was taken over.
   */
  decide(state: GnpIqState, draw: GnpIqDraw): {state: GnpIqState; accepted: Uint8Array} {
    const {matrix} = state;
    const next: QuantizedMatrix = {
      ...matrix,
      codes: matrix.codes.slice(),
      scale: matrix.scale.slice(),
      zero: matrix.zero.slice(),
    };
    const errors = state.errors.slice();
    const units = unitsOf(matrix);
    const accepted = new Uint8Array(draw.units.length);
    let at = 0;
    draw.units.forEach((unit, i) => {
      const count = units.size(unit);
      if (!this.config.accept || draw.errors[i]! < errors[unit]!) {
        accepted[i] = 1;
        units.scatter(draw.codes.subarray(at, at + count), unit, next.codes);
        setGrid(next, unit, makeGrid(draw.scale[i]!, draw.zero[i]!));
        errors[unit] = draw.errors[i]!;
      }
      at += count;
    });
    return {state: {...state, matrix: next, errors, event: state.event + 1}, accepted};
  }

  /**
   * Moves mu and sigma one step down the gradient of a draw. Each unit counts by its own mean error, in steps
   * of its grid where the noise is, so one learning rate suits all units.
   */
  learn(state: GnpIqState, draw: GnpIqDraw): GnpIqState {
    const {gradients} = draw;
    const {noiseScope, learningRate} = this.config;
    if (gradients === undefined || learningRate === 0 || draw.units.length === 0) return state;
    const [mu, sigma] = [state.mu.slice(), state.sigma.slice()];
    const units = unitsOf(state.matrix);
    const length = state.matrix.codes.length;
    const touched = draw.units.reduce((sum, unit) => sum + units.size(unit), 0);
    draw.units.forEach((unit, i) => {
      const at = noiseScope === 'unit' ? unit : 0;
      const share = length / (noiseScope === 'unit' ? units.size(unit) : touched);
      const step = draw.steps[i]!;
      if (step === 0) return;
      mu[at]! -= (learningRate * share * gradients.mu[i]!) / step ** 2;
      sigma[at]! -= (learningRate * share * gradients.sigma[i]!) / step ** 2;
    });
    return {...state, mu, sigma};
  }

  getConfig(): Required<GnpIqConfig> {
    return {...this.config};
  }

  /** Literal floors of what is on a grid already lose a code an event, unless noise lifts some. */
  private checkStable({matrix, sigma}: GnpIqState): void {
    if (this.config.base !== 'previous' || matrix.format.rounding !== 'floor') return;
    if (sigma.every((value) => value !== 0)) return;
    throw new ConfigError(
      `${WHAT}: with base 'previous', rounding 'floor' and sigma 0, every draw lowers codes by one. Set base: ` +
        "'original', rounding: 'half-even', or sigma above 0.",
    );
  }
}

/** Mean squared errors of the units. */
function errorsOf(matrix: QuantizedMatrix, weights: ArrayLike<number>): Float64Array {
  const units = unitsOf(matrix);
  const [own, decoded] = [new Float64Array(units.largest), new Float64Array(units.largest)];
  const codes = emptyCodes(matrix.format, units.largest);
  return Float64Array.from({length: units.count}, (_, unit) => {
    const count = units.gather(weights, unit, own);
    units.gather(matrix.codes, unit, codes);
    decodeUnit(matrix.format, gridOf(matrix, unit), codes.subarray(0, count), decoded);
    let sum = 0;
    for (let i = 0; i < count; i++) sum += (own[i]! - decoded[i]!) ** 2;
    return sum / count;
  });
}

defineQuantizer({
  type: 'gnp-iq',
  summary: 'nearest, then random draws of codes or ranges, kept where a unit comes closer (MP-ISMoE)',
  options: GNP_IQ_OPTIONS,
  examples: [
    {type: 'gnp-iq'},
    {type: 'gnp-iq', codesFrom: 'base', draws: 5},
    {type: 'gnp-iq', subset: 'elements', share: 0.2, noiseScope: 'scalar', ste: 'scale', draws: 4, seed: 3},
    {type: 'gnp-iq', accept: false, noiseUnit: 'absolute', sigma: 0.001, draws: 3},
    {type: 'gnp-iq', base: 'previous', mu: 0.1, share: 0.3, learningRate: 0, draws: 3},
  ],
  create: (config) => new GnpIqQuantizer(config),
});

declare module '../../quantizer.js' {
  interface QuantizerConfigs {
    'gnp-iq': GnpIqConfig;
  }
}
