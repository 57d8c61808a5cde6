import type {BlendAttrs, BlendGradAttrs} from '../kernel-attrs.js';
import type {KernelInputs} from '../kernel-map.js';

type Values = KernelInputs<'PeftBlend', Float32Array>;

/** The blend kernels' inputs by name. */
export type BlendNamed = KernelInputs<'PeftBlend'>;

/** The shape of the blend's output. */
export function blendShape({token, sample}: BlendNamed, {rows}: BlendAttrs): [number, number] {
  return [rows, (token ?? sample)!.shape[1]!];
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The blend of gates into `out` [rows, width], on the CPU. */
export function blendInto(
  {token, sample, share, gate}: Values,
  {rows, slope, tokenFactor, sampleFactor}: BlendAttrs,
  out: Float32Array,
): void {
  if (out.length === 0) return;
  const width = out.length / rows;
  const [s, g] = [sigmoid(slope * share[0]!), sigmoid(slope * gate[0]!)];
  const [byToken, bySample] = [g * s * tokenFactor, g * (1 - s) * sampleFactor];
  const tokens = sample === undefined ? rows : (rows * width) / sample.length;
  for (let row = 0, i = 0; row < rows; row++) {
    const from = Math.floor(row / tokens) * width;
    for (let e = 0; e < width; e++, i++) {
      let sum = token === undefined ? 0 : byToken * token[i]!;
      if (sample !== undefined) sum += bySample * sample[from + e]!;
      out[i] = sum;
    }
  }
}

/** Gradients of the two scalars, from what their terms add up to by column. */
export function blendGradient(
  {token, sample, share, gate}: Values,
  {slope, tokenFactor, sampleFactor}: BlendGradAttrs,
): {share: number; gate: number} {
  const total = (sums: Float32Array | undefined): number => sums?.reduce((sum, x) => sum + x, 0) ?? 0;
  const [s, g] = [sigmoid(slope * share[0]!), sigmoid(slope * gate[0]!)];
  const [p, q] = [tokenFactor * total(token), sampleFactor * total(sample)];
  return {
    share: slope * s * (1 - s) * g * (p - q),
    gate: slope * g * (1 - g) * (s * p + (1 - s) * q),
  };
}
