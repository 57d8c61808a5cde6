import {ConfigError, checkBoolean, checkChoice, checkOptions, describe} from '@tfjs-peft/kernels';
import type {Codes, Grid, WeightFormat} from '../format.js';
import {halfAbove, halfBelow} from '../halves.js';
import {makeGrid} from '../matrix.js';
import {halfEven, ROUNDINGS, type Rounding} from '../rounding.js';
import {checkGroup, type Group} from '../units.js';

/**
 * The zero point of a unit whose range does not contain zero.
 * - `include-zero`: the range is widened to hold zero, so every weight stays within half a step.
 * - `paper`: clamped to the code range, as eq. 2 of MP-ISMoE prints it. A one-sided unit saturates.
 * - `free`: not clamped; the whole code range covers the unit's own range.
 */
export type ZeroPoint = 'include-zero' | 'paper' | 'free';

/** Options of `int8`, `int4`, `int3` and `int2`: codes at equal distances, between the extremes of a unit. */
export interface IntegerOptions {
  /** Which weights share a scale. Default `'channel'` for int8, groups of 32 rows for fewer bits. */
  group?: Group;
  /** A grid around zero: no zero point, one code unused. Default false. */
  symmetric?: boolean;
  /**
   * What an asymmetric grid begins with: a zero point that is a code, so that zero is exact, or a float, so
   * that the smallest weight is: w = s q + m, as GGUF's Q4_1 has it. Default `'integer'`.
   */
  offset?: 'integer' | 'float';
  /** How scales and float offsets are stored. Rounded outwards, so no weight is clamped. Default `'f32'`. */
  scales?: 'f32' | 'f16';
  /** Default `'half-even'`. `'floor'` (the paper's brackets) is not defined for symmetric grids. */
  rounding?: Rounding;
  /** Integer zero points of units whose weights all have the same sign. Default `'include-zero'`. */
  zeroPoint?: ZeroPoint;
}

/** Names of {@link IntegerOptions}. */
export const INTEGER_OPTIONS = [
  'group',
  'symmetric',
  'offset',
  'scales',
  'rounding',
  'zeroPoint',
] as const satisfies (keyof IntegerOptions)[];

/** The formats of {@link IntegerFormat}. */
type IntegerType = 'int8' | 'int4' | 'int3' | 'int2';

const ZERO_POINTS = ['include-zero', 'paper', 'free'] as const;
const OFFSETS = ['integer', 'float'] as const;
const SCALES = ['f32', 'f16'] as const;

/** How scales are stored: the option of every format that has them. */
export const checkScales = (what: string, scales: unknown) => checkChoice(what, 'scales', scales, SCALES);

/** A scale as it is stored: a float16 is rounded up, so that the grid still reaches the largest weight. */
export function storedScale(what: string, exact: number, scales: 'f32' | 'f16'): number {
  if (scales === 'f32') return Math.fround(exact);
  const half = halfAbove(exact);
  if (Number.isFinite(half)) return half;
  throw new ConfigError(`${what}: a scale would be ${exact}, but float16 ends at 65504. Set scales: 'f32'.`);
}

/** The configs of integer formats that cover all of their code. */
export function integerExamples<const Type extends string>(type: Type) {
  return [
    {type},
    {type, symmetric: true, group: 'channel' as const},
    {type, offset: 'float' as const, group: 5, scales: 'f16' as const},
    {type, scales: 'f16' as const, group: 'tensor' as const, rounding: 'half-up' as const},
    {type, zeroPoint: 'free' as const, group: {flat: 7}},
    {type, zeroPoint: 'paper' as const, rounding: 'floor' as const},
  ];
}

/**
 * An affine min-max grid (MP-ISMoE, AAAI-26, eqs 1 and 2): s = (high - low) / (2^n - 1), z = R(2^n - 1 -
 * high / s), code = clamp(R(w / s) + z). Symmetric: s = max(|low|, |high|) / (2^(n-1) - 1) around the middle
 * code. With a float offset m = low: code = clamp(R((w - m) / s)).
 */
export class IntegerFormat implements WeightFormat {
  readonly values = 'integer';
  readonly group: Group;
  readonly scales: 'f32' | 'f16';
  readonly zero: 'middle' | 'integer' | 'offset';
  readonly rounding: Rounding;
  private readonly zeroPoint: ZeroPoint;
  private readonly what: string;

  /** @throws ConfigError if an option is unknown or out of range, or two exclude each other. */
  constructor(
    private readonly type: IntegerType,
    readonly bits: 2 | 3 | 4 | 8,
    config: IntegerOptions & {type: IntegerType},
    group: Group,
  ) {
    const what = `${type} format`;
    this.what = what;
    const given = checkOptions(what, config, ['type', ...INTEGER_OPTIONS]);
    this.group = checkGroup(what, given.group, group);
    this.scales = checkScales(what, given.scales);
    this.rounding = checkChoice(what, 'rounding', given.rounding, Object.keys(ROUNDINGS) as Rounding[]);
    this.zeroPoint = checkChoice(what, 'zeroPoint', given.zeroPoint, ZERO_POINTS);
    const symmetric = checkBoolean(what, 'symmetric', given.symmetric, false);
    const offset = checkChoice(what, 'offset', given.offset, OFFSETS);
    const exclude = (problem: string, remedy: string): never => {
      throw new ConfigError(`${what}: ${problem}. ${remedy}.`);
    };
    if (symmetric && offset === 'float') {
      exclude('a symmetric grid has no offset', "Set symmetric: false, or leave out offset: 'float'");
    }
    if (symmetric && this.rounding === 'floor') {
      exclude(
        "rounding 'floor' is not defined for symmetric grids, whose largest weight is on a boundary",
        "Set rounding: 'half-even'",
      );
    }
    if (given.zeroPoint !== undefined && (symmetric || offset === 'float')) {
      exclude(
        `zeroPoint is ${describe(given.zeroPoint)}, but only asymmetric grids with integer zero points have one`,
        'Leave out zeroPoint',
      );
    }
    if (this.zeroPoint === 'free' && this.scales === 'f16') {
      exclude(
        "zeroPoint 'free' can lie beyond the codes, and is then stored as a float32 offset",
        "Set scales: 'f32', or offset: 'float' in place of zeroPoint",
      );
    }
    this.zero = symmetric ? 'middle' : offset === 'float' ? 'offset' : 'integer';
  }

  fit(low: number, high: number): Grid {
    const top = 2 ** this.bits - 1;
    if (this.zero === 'middle') {
      const size = Math.max(Math.abs(low), Math.abs(high));
      const scale = storedScale(this.what, size / (2 ** (this.bits - 1) - 1), this.scales);
      return makeGrid(scale || 1, 2 ** (this.bits - 1));
    }
    if (this.zero === 'offset') {
      const offset = this.storedOffset(low);
      return makeGrid(storedScale(this.what, (high - offset) / top, this.scales) || 1, offset);
    }
    const widen = this.widens(low, high);
    const from = widen ? Math.min(low, 0) : low;
    const to = widen ? Math.max(high, 0) : high;
    const scale = storedScale(this.what, (to - from) / top, this.scales);
    // All zero, or so small that the scale underflows: code 0 is exact or nearly so.
    if (scale === 0) return makeGrid(1, 0);
    const zero = ROUNDINGS[this.rounding](top - to / scale);
    const clamped = Math.min(Math.max(zero, 0), top);
    return makeGrid(scale, this.zeroPoint === 'free' && !widen ? zero : clamped);
  }

  encode(weights: Float64Array, {scale, zero}: Grid, codes: Codes, inRange?: Uint8Array): void {
    // The usual rounding is called by its name, so that it is part of the loop.
    const round = this.rounding === 'half-even' ? undefined : ROUNDINGS[this.rounding];
    const subtracted = this.zero === 'offset' ? zero : 0;
    const added = this.zero === 'offset' ? 0 : zero;
    // The lowest symmetric code is never used.
    const bottom = this.zero === 'middle' ? 1 : 0;
    const top = 2 ** this.bits - 1;
    for (let i = 0; i < weights.length; i++) {
      const quotient = (weights[i]! - subtracted) / scale;
      const code = (round ? round(quotient) : halfEven(quotient)) + added;
      codes[i] = Math.min(Math.max(code, bottom), top);
      if (inRange) inRange[i] = Number(code >= bottom && code <= top);
    }
  }

  /**
   * MP-ISMoE's straight-through estimator holds z constant: an offset would move with the smallest
   * weight.
   */
  get slopes(): WeightFormat['slopes'] {
    if (this.zero === 'offset') return undefined;
    return (low, high) => {
      if (this.zero === 'middle') {
        const slope = 1 / (2 ** (this.bits - 1) - 1);
        return -low > high ? [-slope, 0] : [0, slope];
      }
      const slope = 1 / (2 ** this.bits - 1);
      const widen = this.widens(low, high);
      return [widen && low > 0 ? 0 : -slope, widen && high < 0 ? 0 : slope];
    };
  }

  getConfig() {
    return {
      type: this.type,
      group: this.group,
      symmetric: this.zero === 'middle',
      offset: this.zero === 'offset' ? ('float' as const) : ('integer' as const),
      scales: this.scales,
      rounding: this.rounding,
      ...(this.zero === 'integer' && {zeroPoint: this.zeroPoint}),
    };
  }

  /** A constant unit has no range of its own to divide. */
  private widens(low: number, high: number): boolean {
    return this.zeroPoint === 'include-zero' || low === high;
  }

  private storedOffset(low: number): number {
    if (this.scales === 'f32') return Math.fround(low);
    const half = halfBelow(low);
    if (Number.isFinite(half)) return half;
    throw new ConfigError(
      `${this.what}: an offset would be ${low}, but float16 ends at -65504. Set scales: 'f32'.`,
    );
  }
}
