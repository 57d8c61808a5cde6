const WARM_UP = 20;

/** Share of the peak learning rate at a step (from 0): linear warm-up, then linear decay that ends at 0 after the last. */
export function scheduleAt(step: number, steps: number): number {
  const warmUp = Math.min(WARM_UP, Math.ceil(steps / 10));
  return step < warmUp ? (step + 1) / warmUp : (steps - step) / (steps - warmUp);
}

/** Steps after which validation is looked at: none before the rate has come down to where a checkpoint can be good. */
export function validationSteps(steps: number): number[] {
  return [...new Set([0.7, 0.85, 1].map((share) => Math.ceil(share * steps)))];
}

/** What a step and the fixed parts cost on this machine, in seconds. */
export interface Costs {
  step: number;
  validation: number;
  rest: number;
}

const FEWEST_STEPS = 20;
const MOST_STEPS = 3000;

/** The steps that fit in `seconds`. */
export function affordableSteps(seconds: number, {step, validation, rest}: Costs): number {
  const training = seconds - rest - validationSteps(MOST_STEPS).length * validation;
  return Math.min(MOST_STEPS, Math.max(FEWEST_STEPS, Math.floor(training / step)));
}
