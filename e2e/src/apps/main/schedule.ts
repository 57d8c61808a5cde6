const WARM_UP = 20;

/**
 * Share of the peak learning rate at a step (from 0): linear warm-up, then linear
 * decay that ends at 0 after the last.
 */
export function scheduleAt(step: number, steps: number): number {
  const warmUp = Math.min(WARM_UP, Math.ceil(steps / 10));
  return step < warmUp ? (step + 1) / warmUp : (steps - step) / (steps - warmUp);
}

/** Below so many steps a run is short: it is looked at once, at its end. */
const SHORT_RUN = 100;

/**
 * Steps after which validation is looked at: none before the rate has come down
 * to where a checkpoint can be good.
 */
export function validationSteps(steps: number): number[] {
  const shares = steps < SHORT_RUN ? [1] : [0.7, 0.85, 1];
  return shares.map((share) => Math.ceil(share * steps));
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
  const withLooks = (looks: number) => Math.floor((seconds - rest - looks * validation) / step);
  // One look more than there are steps to look at: the middle between start and end.
  const long = withLooks(validationSteps(SHORT_RUN).length + 1);
  const steps = long >= SHORT_RUN ? long : Math.min(SHORT_RUN - 1, withLooks(2));
  return Math.min(MOST_STEPS, Math.max(FEWEST_STEPS, steps));
}
