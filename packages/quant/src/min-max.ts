import {ROUNDINGS, type Rounding} from './rounding.js';

/**
 * The zero point of a unit whose range does not contain zero.
 * - `include-zero`: the range is widened to hold zero, so every weight stays within half a step.
 * - `paper`: clamped to the code range, as eq. 2 of MP-ISMoE prints it. A one-sided unit saturates.
 * - `free`: not clamped; the whole code range covers the unit's own range.
 */
export type ZeroPoint = 'include-zero' | 'paper' | 'free';

/** An affine grid: a code stands for scale · (code - zero). */
export interface Grid {
  scale: number;
  zero: number;
}

export interface GridOptions {
  bits: number;
  symmetric: boolean;
  rounding: Rounding;
  zeroPoint: ZeroPoint;
}

/**
 * The min-max grid of weights between `low` and `high` (MP-ISMoE eq. 2): s = (high - low) / (2^n - 1), z =
 * R(2^n - 1 - high / s). Symmetric grids have s = max(|low|, |high|) / (2^(n-1) - 1) around the middle code
 * 2^(n-1), so one formula decodes both.
 */
export function minMaxGrid(low: number, high: number, options: GridOptions): Grid {
  const {bits, symmetric, rounding, zeroPoint} = options;
  if (symmetric) {
    const scale = Math.fround(Math.max(Math.abs(low), Math.abs(high)) / (2 ** (bits - 1) - 1));
    return {scale: scale || 1, zero: 2 ** (bits - 1)};
  }
  // A constant unit has no range of its own to divide.
  const widen = zeroPoint === 'include-zero' || low === high;
  const from = widen ? Math.min(low, 0) : low;
  const to = widen ? Math.max(high, 0) : high;
  const top = 2 ** bits - 1;
  const scale = Math.fround((to - from) / top);
  // All zero, or so small that the scale underflows: code 0 is exact or nearly so.
  if (scale === 0) return {scale: 1, zero: 0};
  const zero = ROUNDINGS[rounding](top - to / scale);
  return {scale, zero: zeroPoint === 'free' && !widen ? zero : Math.min(Math.max(zero, 0), top)};
}

/** The code of one weight (MP-ISMoE eq. 1): clamp(R(w / s) + z). The lowest symmetric code is never used. */
export function encode(weight: number, grid: Grid, {bits, symmetric, rounding}: GridOptions): number {
  const code = ROUNDINGS[rounding](weight / grid.scale) + grid.zero;
  return Math.min(Math.max(code, symmetric ? 1 : 0), 2 ** bits - 1);
}
