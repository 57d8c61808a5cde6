/** The formats of 16 bits: IEEE halves, and the upper half of float32. */
export type HalfFormat = 'f16' | 'bf16';

/** The bits of each format's mantissa, and how many exponents it has. */
export const HALF_FORMATS = {
  f16: {mantissa: 10, exponents: 32},
  bf16: {mantissa: 7, exponents: 256},
} as const satisfies Record<HalfFormat, object>;

/**
 * What the upper bits of a number of 16 bits stand for, sign and exponent: the number is (lower bits +
 * `hidden`) · `power`. Infinities and NaN have entries too, of no meaning: they are never packed.
 */
export function halfTable(format: HalfFormat): {mantissa: number; hidden: Float32Array; power: Float32Array} {
  const {mantissa, exponents} = HALF_FORMATS[format];
  const size = 2 * exponents;
  const exponent = (i: number): number => i % exponents;
  return {
    mantissa,
    hidden: Float32Array.from({length: size}, (_, i) => (exponent(i) > 0 ? 2 ** mantissa : 0)),
    power: Float32Array.from({length: size}, (_, i) => {
      const power = 2 ** (Math.max(exponent(i), 1) - (exponents / 2 - 1) - mantissa);
      return i < exponents ? power : -power;
    }),
  };
}

/** Whether numbers of 16 bits are all finite. */
export function areFinite(bits: ArrayLike<number>, format: HalfFormat): boolean {
  const {mantissa, exponents} = HALF_FORMATS[format];
  for (let i = 0; i < bits.length; i++)
    if ((bits[i]! >> mantissa) % exponents === exponents - 1) return false;
  return true;
}

/**
 * Reads numbers of 16 bits, exactly.
 *
 * @param bits The bits of finite numbers.
 * @returns float32.
 * @example
 * ```ts
 * import {fromHalves} from '@tfjs-peft/kernels';
 *
 * const [one, two] = fromHalves([0x3c00, 0x4000], 'f16'); // 1, 2
 * ```
 */
export function fromHalves(bits: ArrayLike<number>, format: HalfFormat): Float32Array {
  const {mantissa, hidden, power} = halfTable(format);
  return Float32Array.from(bits, (half) => {
    const upper = half >> mantissa;
    return ((half & (2 ** mantissa - 1)) + hidden[upper]!) * power[upper]!;
  });
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/**
 * Rounds numbers to 16 bits, ties to the even one. What is beyond the format's range becomes infinite; NaN
 * stays NaN.
 *
 * @returns The bits.
 * @example
 * ```ts
 * import {toHalves} from '@tfjs-peft/kernels';
 *
 * const bits = toHalves([1, 2], 'f16'); // 0x3c00, 0x4000
 * ```
 */
export function toHalves(values: ArrayLike<number>, format: HalfFormat): Uint16Array {
  const {mantissa, exponents} = HALF_FORMATS[format];
  const bias = exponents / 2 - 1;
  return Uint16Array.from(values, (value) => {
    single[0] = value;
    const sign = (singleBits[0]! >>> 31) << 15;
    const size = Math.abs(single[0]!);
    const infinite = (exponents - 1) << mantissa;
    if (Number.isNaN(size)) return sign | infinite | 1;
    const exponent = Math.max(((singleBits[0]! >>> 23) & 255) - 127, 1 - bias);
    // As a number of steps, which are equal within one exponent; those below the first are subnormal.
    const steps = size / 2 ** (exponent - mantissa);
    const below = Math.floor(steps);
    const rest = steps - below;
    const rounded = below + (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0);
    // A carry goes into the exponent by itself.
    const bits = rounded + ((exponent + bias - 1) << mantissa);
    return sign | (Number.isFinite(size) ? Math.min(bits, infinite) : infinite);
  });
}
