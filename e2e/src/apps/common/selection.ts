/** Validation accuracies by task after a step. */
export interface Score {
  step: number;
  accuracies: number[];
}

export const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Standard error of an accuracy that is itself uncertain (Agresti and Coull 1998: two successes and two
 * failures more), so that one text less is no proof of harm where all few texts were right.
 */
function cautiousError(accuracy: number, count: number): number {
  const share = (accuracy * count + 2) / (count + 4);
  return Math.sqrt((share * (1 - share)) / (count + 4));
}

/**
 * Whether a later checkpoint replaces the best one so far. The mean over the tasks decides; a checkpoint
 * that loses more than a standard error on any task against the start (the probes' own heads) is no
 * candidate, however good its mean.
 *
 * @param counts validation texts by task.
 */
export function isBetter(candidate: Score, best: Score, start: Score, counts: number[]): boolean {
  const harmed = candidate.accuracies.some((accuracy, task) => {
    const before = start.accuracies[task]!;
    return accuracy < before - cautiousError(before, counts[task]!);
  });
  if (harmed) return false;
  const gain = mean(candidate.accuracies) - mean(best.accuracies);
  return best.step === start.step ? gain > 0 : gain >= 0;
}
