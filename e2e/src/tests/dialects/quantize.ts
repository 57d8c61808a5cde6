import type {io} from '@tensorflow/tfjs-core';

export type Quantization = 'uint8' | 'uint16' | 'float16';

type Spec = NonNullable<io.WeightsManifestEntry['quantization']>;

/**
 * Values as the converter quantises them (tensorflowjs/quantization.py): affine
 * with an exact 0, or half precision.
 */
export function quantize(
  values: Float32Array,
  dtype: Quantization,
): {spec: Spec; bytes: Uint8Array | Uint16Array} {
  if (dtype === 'float16') return {spec: {dtype}, bytes: Uint16Array.from(values, toHalf)};
  const levels = dtype === 'uint8' ? 255 : 65535;
  let low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const type = dtype === 'uint8' ? Uint8Array : Uint16Array;
  if (low === high) return {spec: {dtype, min: low, scale: 1}, bytes: new type(values.length)};
  const scale = (high - low) / levels;
  // Where 0 is inside the range, the range is moved until 0 is one of its levels.
  if (low < 0 && high > 0) low = -Math.round(-low / scale) * scale;
  const level = (value: number) => Math.min(levels, Math.max(0, Math.round((value - low) / scale)));
  return {spec: {dtype, min: low, scale}, bytes: type.from(Array.from(values, level))};
}

/** Bits of the nearest number of half precision, ties to even. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  // Above the middle between 65504 and what would follow it.
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const unit = 2 ** (exponent - 10);
  const steps = roundToEven(size / unit);
  // Subnormals have the exponent bits 0; rounding up to 2048 steps carries into the exponent by itself.
  return sign | (steps < 1024 ? steps : ((exponent + 15) << 10) + (steps - 1024));
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
