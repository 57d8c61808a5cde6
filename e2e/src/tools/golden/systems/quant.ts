import {PeftError} from '@tfjs-peft/kernels';
import {
  dequantize,
  type Granularity,
  type PackedWeight,
  type QuantizeOptions,
  quantizationError,
  quantize,
  unpackCodes,
} from '@tfjs-peft/quant';
import {magnitude} from '@tfjs-peft/testing/compare';
import {type Deviations, deviation, difference, Worst} from '../compare.js';
import {type Golden, type GoldenCase, NotExpressible, tensorOf} from '../format.js';

interface QuantConfig {
  format: string;
  bits: number;
  symmetric: boolean;
  granularity: string;
  groupSize?: number;
  rounding: QuantizeOptions['rounding'];
  zeroPoint: QuantizeOptions['zeroPoint'] | 'none';
  expect?: string;
}

function optionsOf(config: QuantConfig): QuantizeOptions {
  if (!/^int\d$/.test(config.format)) throw new NotExpressible(`weight format ${config.format}`);
  if (!['tensor', 'channel', 'group'].includes(config.granularity)) {
    throw new NotExpressible(`granularity ${config.granularity}`);
  }
  const {bits, symmetric, rounding, zeroPoint} = config;
  const granularity =
    config.granularity === 'group' ? {group: config.groupSize!} : (config.granularity as Granularity);
  return {bits, symmetric, granularity, rounding, ...(zeroPoint === 'none' ? {} : {zeroPoint})};
}

/**
 * The data store symmetric codes around 0, PackedWeight around the middle code: both
 * less their zero point are the same.
 */
function stepsOf(packed: PackedWeight, tensors: Map<string, Golden>): {got: number[]; want: number[]} {
  const columns = packed.shape[1];
  const rows = packed.group === 'tensor' || packed.group === 'channel' ? packed.shape[0] : packed.group.group;
  const unit = (at: number) =>
    packed.group === 'tensor' ? 0 : Math.floor(Math.floor(at / columns) / rows) * columns + (at % columns);
  const zero = tensorOf(tensors, 'out.zero').data;
  return {
    got: Array.from(unpackCodes(packed), (code, at) => code - packed.zero[unit(at)]!),
    want: Array.from(tensorOf(tensors, 'out.codes').data, (code, at) => code - zero[unit(at)]!),
  };
}

function checkErrors(
  packed: PackedWeight,
  weights: Golden,
  tensors: Map<string, Golden>,
  tolerance: number,
): void {
  const error = quantizationError(weights.data, packed);
  const floor = 1e-6 * magnitude(weights.data);
  const measured: [string, ArrayLike<number>, number][] = [
    ['mse', [error.mse], floor ** 2],
    ['mse_unit', error.unitMse, floor ** 2],
    ['maxerr', [error.max], floor],
  ];
  for (const [name, got, slack] of measured) {
    const want = tensorOf(tensors, `out.${name}`);
    const [off, allowed] = [difference(name, got, want), tolerance * magnitude(want.data) + slack];
    if (!(off <= allowed)) throw new Error(`${name} is off by ${off}, allowed ${allowed}`);
  }
}

/**
 * Min-max quantisation: codes and zero points equal, scales and decoded weights
 * within tolerance, errors as measured.
 */
export function runQuant(golden: GoldenCase, tensors: Map<string, Golden>): Deviations {
  const config = golden.config as unknown as QuantConfig;
  const options = optionsOf(config);
  const weights = tensorOf(tensors, 'in.w');
  const make = () => quantize(weights.data, weights.shape as [number, number], options);
  const forward = new Worst();
  if (config.expect === 'error') {
    try {
      make();
    } catch (error) {
      if (error instanceof PeftError) return {forward, grad: null};
      throw error;
    }
    throw new Error('accepted what has to be refused');
  }
  const packed = make();
  const decoded = dequantize(packed);
  if (config.expect?.startsWith('finite')) {
    const off = difference('deq', decoded, weights);
    if (!(off <= golden.tolerance.absolute!)) throw new Error(`decoded weights are off by ${off}`);
    return {forward, grad: null};
  }
  const {got, want} = stepsOf(packed, tensors);
  const wrong = got.findIndex((steps, at) => steps !== want[at]);
  if (wrong >= 0) throw new Error(`code ${wrong} stands for ${got[wrong]} steps, expected ${want[wrong]}`);
  if (!options.symmetric) {
    const zero = tensorOf(tensors, 'out.zero').data;
    const bad = packed.zero.findIndex((value, at) => value !== zero[at]);
    if (bad >= 0) throw new Error(`zero point ${bad} is ${packed.zero[bad]}, expected ${zero[bad]}`);
  }
  forward.add(
    'scale',
    deviation('scale', packed.scale, tensorOf(tensors, 'out.scale'), magnitude(weights.data)),
  );
  forward.add('deq', deviation('deq', decoded, tensorOf(tensors, 'out.deq'), magnitude(weights.data)));
  checkErrors(packed, weights, tensors, golden.tolerance.error!);
  return {forward, grad: null};
}
