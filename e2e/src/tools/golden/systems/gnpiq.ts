import {
  createFormat,
  dequantize,
  type GnpIqConfig,
  type GnpIqDraw,
  GnpIqQuantizer,
  type GnpIqState,
  toPacked,
  Units,
} from '@tfjs-peft/quant';
import {magnitude} from '@tfjs-peft/testing/compare';
import {type Deviations, deviation, difference, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import {checkEqual, checkErrors, formatOf, type QuantConfig} from './quant.js';

type Tensors = Map<string, Golden>;

interface GnpConfig extends QuantConfig, Pick<GnpIqConfig, 'subset' | 'noiseScope' | 'noiseUnit' | 'ste'> {
  iterations: number;
  keepMaster: boolean;
  accept: boolean;
  codesFrom: 'perturbed' | 'base';
}

function quantizerOf(config: GnpConfig): GnpIqQuantizer {
  const {accept, codesFrom, subset, noiseScope, noiseUnit, ste, keepMaster} = config;
  return new GnpIqQuantizer({
    type: 'gnp-iq',
    ...{accept, codesFrom, subset, noiseScope, noiseUnit, ste},
    base: keepMaster ? 'original' : 'previous',
    // Those of each draw are in the data.
    sigma: 1,
  } as GnpIqConfig);
}

/** One of the tensors that the data keep for all iterations together. */
function slice(tensors: Tensors, name: string, t: number, iterations: number): Golden {
  const {shape, data} = tensorOf(tensors, name);
  const length = data.length / iterations;
  return {shape: shape.slice(1), data: data.slice((t - 1) * length, t * length)};
}

/** What a draw holds of its units, in the places of the weights; elsewhere 0. */
function inPlace(draw: GnpIqDraw, units: Units, length: number): Float64Array {
  const all = new Float64Array(length);
  let at = 0;
  for (const unit of draw.units) {
    units.scatter(draw.noise.subarray(at, at + units.size(unit)), unit, all);
    at += units.size(unit);
  }
  return all;
}

class GnpRun {
  readonly forward = new Worst();
  readonly grad = new Worst();
  private readonly units: Units;
  private readonly size: number;

  constructor(
    private readonly golden: GoldenCase,
    private readonly tensors: Tensors,
    private readonly weights: Golden,
    state: GnpIqState,
  ) {
    this.units = new Units(weights.shape as [number, number], state.matrix.format.group!);
    this.size = magnitude(weights.data);
  }

  checkState(t: number, {matrix, errors}: GnpIqState): void {
    const name = (part: string) => `out.t${t}.${part}`;
    checkEqual(`codes of t${t}`, matrix.codes, tensorOf(this.tensors, name('codes')).data);
    checkEqual(`zero points of t${t}`, matrix.zero, tensorOf(this.tensors, name('zero')).data);
    this.compare(name('scale'), matrix.scale);
    this.compare(name('deq'), dequantize(toPacked(matrix)));
    this.checkErrors([
      [name('error'), [this.meanOf(errors)]],
      [name('error_unit'), errors],
    ]);
  }

  checkDraw(t: number, draw: GnpIqDraw, base: ArrayLike<number>): void {
    const noise = inPlace(draw, this.units, this.weights.data.length);
    this.compare(`out.t${t}.eps`, noise);
    this.compare(
      `out.t${t}.pert`,
      noise.map((value, at) => value + base[at]!),
    );
    this.checkErrors([[`aux.t${t}.candidate_error`, [draw.error]]]);
  }

  checkGradients(t: number, draw: GnpIqDraw, config: GnpConfig): void {
    if (draw.gradients === undefined) return;
    for (const name of ['mu', 'sigma'] as const) {
      const want = slice(this.tensors, `grad.param.${name}`, t, config.iterations);
      const own = draw.gradients[name];
      const got =
        config.noiseScope === 'scalar'
          ? [own.reduce((sum, value) => sum + value, 0)]
          : new Float64Array(this.units.count);
      if (config.noiseScope === 'unit') for (const [i, unit] of draw.units.entries()) got[unit] = own[i]!;
      // One tensor holds the gradients of all iterations.
      const largest = magnitude(tensorOf(this.tensors, `grad.param.${name}`).data);
      this.grad.add(`grad.${name} of t${t}`, difference(name, got, want) / largest);
    }
  }

  private compare(name: string, got: ArrayLike<number>): void {
    this.forward.add(name, deviation(name, got, tensorOf(this.tensors, name), this.size));
  }

  private checkErrors(measured: [string, ArrayLike<number>][]): void {
    const slack = (1e-6 * this.size) ** 2;
    checkErrors(
      measured.map(([name, got]) => [name, got, slack]),
      this.tensors,
      this.golden.tolerance.error!,
    );
  }

  private meanOf(errors: Float64Array): number {
    const sum = errors.reduce((total, error, unit) => total + error * this.units.size(unit), 0);
    return sum / this.weights.data.length;
  }
}

/**
 * GNP-IQ: after each draw and each decision, codes and zero points equal, the rest within tolerance, and the
 * gradients of mu and sigma.
 */
export function runGnpIq(golden: GoldenCase, tensors: Tensors): Deviations {
  const config = golden.config as unknown as GnpConfig;
  const weights = tensorOf(tensors, 'in.w');
  const quantizer = quantizerOf(config);
  const format = createFormat(formatOf(config));
  let state = quantizer.start(weights.data, weights.shape as [number, number], format);
  const run = new GnpRun(golden, tensors, weights, state);
  run.checkState(0, state);
  for (let t = 1; t <= config.iterations; t++) {
    const [mu, sigma] = ['mu', 'sigma'].map((name) =>
      Float64Array.from(slice(tensors, `param.${name}`, t, config.iterations).data),
    ) as [Float64Array, Float64Array];
    const chosen = slice(tensors, 'in.subset', t, config.iterations).data;
    const base = config.keepMaster ? weights.data : dequantize(toPacked(state.matrix));
    const draw = quantizer.draw({...state, mu, sigma}, weights.data, {
      noise: slice(tensors, 'in.noise', t, config.iterations).data,
      ...(config.subset === 'elements'
        ? {elements: chosen}
        : {units: Array.from(chosen.keys()).filter((unit) => chosen[unit])}),
    });
    run.checkDraw(t, draw, base);
    run.checkGradients(t, draw, config);
    state = quantizer.decide(state, draw).state;
    run.checkState(t, state);
  }
  return {forward: run.forward, grad: config.codesFrom === 'base' ? null : run.grad};
}
