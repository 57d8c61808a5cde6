/**
 * How a quotient becomes a whole number. `floor` is the bracket in eqs 1 and 2 of MP-ISMoE; its error is up
 * to a whole step, that of the others half a step.
 */
export type Rounding = 'half-even' | 'half-up' | 'floor';

/** Next to it, doubles are whole numbers: adding it rounds to the nearest one, ties to even. */
const WHOLE = 1.5 * 2 ** 52;

/** The nearest whole number; of two, the even one. */
export function halfEven(value: number): number {
  if (Math.abs(value) < 2 ** 51) return value + WHOLE - WHOLE;
  const below = Math.floor(value);
  return value - below > 0.5 || (value - below === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

export const ROUNDINGS: Record<Rounding, (value: number) => number> = {
  'half-even': halfEven,
  'half-up': (value) => Math.floor(value + 0.5),
  floor: Math.floor,
};
