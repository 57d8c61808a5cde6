import {type PackedCodes, PeftError} from '@tfjs-peft/kernels';
import {
  dequantize,
  type FormatConfig,
  type Group,
  type QuantizationError,
  quantizationError,
  quantize,
  type Rounding,
  Units,
  type ZeroPoint,
} from '@tfjs-peft/quant';
import {magnitude} from '@tfjs-peft/testing/compare';
import {type Deviations, deviation, difference, Worst} from '../compare.js';
import {type Golden, type GoldenCase, NotExpressible, tensorOf} from '../format.js';

export interface QuantConfig {
  format: string;
  bits: number;
  symmetric?: boolean;
  granularity: string;
  groupSize?: number;
  blockSize?: number;
  rounding?: Rounding;
  zeroPoint?: ZeroPoint | 'none';
  expect?: string;
}

function groupOf({granularity, groupSize, blockSize}: QuantConfig): Group {
  if (granularity === 'tensor' || granularity === 'channel') return granularity;
  const size = groupSize ?? blockSize!;
  if (granularity === 'group') return size;
  if (granularity === 'flat') return {flat: size};
  throw new NotExpressible(`granularity ${granularity}`);
}

/** The format of a case, as its user would write it. */
export function formatOf(config: QuantConfig): FormatConfig {
  const group = groupOf(config);
  if (config.format === 'nf4') return {type: 'nf4', group};
  if (!/^int[2348]$/.test(config.format)) throw new NotExpressible(`weight format ${config.format}`);
  const {symmetric = false, rounding, zeroPoint} = config;
  return {
    type: config.format as 'int8',
    ...{group, symmetric},
    ...(rounding && {rounding}),
    ...(zeroPoint && zeroPoint !== 'none' && {zeroPoint}),
  };
}

/** The units' scales or zero points as the data have them, for each weight. */
function spread(part: ArrayLike<number>, shape: readonly [number, number], group: Group): number[] {
  const units = new Units(shape, group);
  return Array.from(
    {length: shape[0] * shape[1]},
    (_, at) => part[units.unitAt(Math.floor(at / shape[1]), at % shape[1])]!,
  );
}

/** Likewise, of a packed matrix. */
function spreadPacked({shape, group, unitColumns}: PackedCodes, part: ArrayLike<number>): number[] {
  const [rows, columns] = shape;
  return Array.from({length: rows * columns}, (_, at) => {
    const unit = Math.floor(Math.floor(at / columns) / group) * unitColumns;
    return part[unitColumns === 1 ? unit : unit + (at % columns)]!;
  });
}

/** Zero points, also where they lie beyond the codes, and the matrix has offsets. */
function zerosOf(packed: PackedCodes): number[] {
  const {zero, zeros, offset} = packed;
  const scale = spreadPacked(packed, packed.scale as Float32Array);
  if (offset) {
    return spreadPacked(packed, offset as Float32Array).map((value, at) => Math.round(-value / scale[at]!));
  }
  return zeros ? spreadPacked(packed, zeros) : scale.map(() => zero ?? 0);
}

/** Throws unless measured errors are as the data have them. */
export function checkErrors(
  measured: [name: string, got: ArrayLike<number>, slack: number][],
  tensors: Map<string, Golden>,
  tolerance: number,
): void {
  for (const [name, got, slack] of measured) {
    const want = tensorOf(tensors, name);
    const [off, allowed] = [difference(name, got, want), tolerance * magnitude(want.data) + slack];
    if (!(off <= allowed)) throw new Error(`${name} is off by ${off}, allowed ${allowed}`);
  }
}

/** Throws unless whole numbers are equal. */
export function checkEqual(name: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  if (got.length !== want.length) throw new Error(`there are ${got.length} ${name}, expected ${want.length}`);
  for (let at = 0; at < got.length; at++) {
    // Math.abs, since 0 and -0 are equal.
    if (Math.abs(got[at]! - want[at]!) === 0) continue;
    throw new Error(`${name} ${at} is ${got[at]}, expected ${want[at]}`);
  }
}

/** Quantises what has to be refused, or to a finite result. */
function runExpected(golden: GoldenCase, make: () => PackedCodes, weights: Golden): Deviations {
  const {expect} = golden.config as unknown as QuantConfig;
  const forward = new Worst();
  let packed: PackedCodes;
  try {
    packed = make();
  } catch (error) {
    if (error instanceof PeftError && expect!.endsWith('error')) return {forward, grad: null};
    throw error;
  }
  if (expect === 'error') throw new Error('accepted what has to be refused');
  const off = difference('deq', dequantize(packed), weights);
  if (!(off <= golden.tolerance.absolute!)) throw new Error(`decoded weights are off by ${off}`);
  return {forward, grad: null};
}

/**
 * Quantisation to nearest: codes and zero points equal, scales and decoded weights within tolerance, errors
 * as measured.
 */
export function runQuant(golden: GoldenCase, tensors: Map<string, Golden>): Deviations {
  const config = golden.config as unknown as QuantConfig;
  const format = formatOf(config);
  const weights = tensorOf(tensors, 'in.w');
  const shape = weights.shape as [number, number];
  const make = () => quantize(weights.data, shape, format);
  if (config.expect) return runExpected(golden, make, weights);
  const packed = make();
  const group = groupOf(config);
  // The data store symmetric codes around 0, we around the middle code: less their zero points, both are the
  // same.
  const zeros = zerosOf(packed);
  const given = tensors.get('out.zero');
  const wantZeros = given ? spread(given.data, shape, group) : zeros.map(() => 0);
  const wantCodes = tensorOf(tensors, 'out.codes').data;
  checkEqual(
    'steps',
    Array.from(packed.codes, (code, at) => code - zeros[at]!),
    Array.from(wantCodes, (code, at) => code - wantZeros[at]!),
  );
  if (given && !config.symmetric) checkEqual('zero points', zeros, wantZeros);
  const forward = new Worst();
  const floor = magnitude(weights.data);
  const scale = spreadPacked(packed, packed.scale as Float32Array);
  const wantScale = Float32Array.from(spread(tensorOf(tensors, 'out.scale').data, shape, group));
  forward.add('scale', deviation('scale', scale, {shape, data: wantScale}, floor));
  forward.add('deq', deviation('deq', dequantize(packed), tensorOf(tensors, 'out.deq'), floor));
  checkErrors(
    measuredOf(quantizationError(weights.data, packed), tensors, floor),
    tensors,
    golden.tolerance.error!,
  );
  return {forward, grad: null};
}

function measuredOf(
  {mse, unitMse, max}: QuantizationError,
  tensors: Map<string, Golden>,
  size: number,
): [string, ArrayLike<number>, number][] {
  const slack = 1e-6 * size;
  return [
    ['out.mse', [mse], slack ** 2],
    ['out.maxerr', [max], slack],
    // Blocks across columns have none.
    ...(tensors.has('out.mse_unit')
      ? [['out.mse_unit', unitMse, slack ** 2] as [string, ArrayLike<number>, number]]
      : []),
  ];
}
