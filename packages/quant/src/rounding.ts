/**
 * How a quotient becomes a whole number. `floor` is the bracket in eqs 1 and 2 of MP-ISMoE; its error is up
 * to a whole step, that of the others half a step.
 */
export type Rounding = 'half-even' | 'half-up' | 'floor';

/** The nearest whole number; of two, the even one. */
export function halfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

export const ROUNDINGS: Record<Rounding, (value: number) => number> = {
  'half-even': halfEven,
  'half-up': (value) => Math.floor(value + 0.5),
  floor: Math.floor,
};
