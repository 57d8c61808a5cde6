import {mean} from '../common/selection.js';

/** Figures of one task and seed; accuracies are on the test pictures. */
export interface SeedResult {
  seed: number;
  probe: number;
  adapted: number;
  gain: number;
  /** Standard error of the gain: from picture to picture, of the difference between right and wrong. */
  gainStderr: number;
  /**
   * What validation chose: the epoch (0 is the probe's own head), the learning rate,
   * and what the probe was fitted to.
   */
  keptEpoch: number;
  rate: number;
  probeFittedTo: 'pictures' | 'views';
}

/** Figures of one task; means over the seeds. */
export interface ImageTaskResult extends Omit<SeedResult, 'seed' | 'probeFittedTo'> {
  name: string;
  classes: number;
  train: number;
  validation: number;
  test: number;
  seeds: SeedResult[];
}

/** What `--json` writes. */
export interface ImagesResult {
  command: 'images';
  backend: string;
  seeds: number[];
  adapter: {type: string; experts?: number; rank?: number; sites: number};
  trainable: number;
  total: number;
  baseUnchanged: boolean;
  tasks: ImageTaskResult[];
  reload: {maxDiff: number};
  seconds: number;
}

/**
 * Mean gain of what was adapted over the probe, and its standard error over the pictures,
 * which both saw: a paired comparison.
 */
export function pairedGain(
  labels: Int32Array,
  probe: Int32Array,
  adapted: Int32Array,
): {gain: number; gainStderr: number} {
  const differences = [...labels].map(
    (label, i) => Number(adapted[i] === label) - Number(probe[i] === label),
  );
  const gain = mean(differences);
  const squares = differences.reduce((sum, own) => sum + (own - gain) ** 2, 0);
  const count = differences.length;
  return {gain, gainStderr: count < 2 ? 0 : Math.sqrt(squares / (count - 1) / count)};
}

/**
 * Standard error of the mean gain over seeds: from the pictures (test pictures differ from seed to seed, in
 * the main) or from how far the seeds are apart, whichever is larger.
 */
export function meanGainError(seeds: Pick<SeedResult, 'gain' | 'gainStderr'>[]): number {
  const count = seeds.length;
  const fromPictures = Math.sqrt(mean(seeds.map(({gainStderr}) => gainStderr ** 2)) / count);
  if (count < 2) return fromPictures;
  const gain = mean(seeds.map((own) => own.gain));
  const squares = seeds.reduce((sum, own) => sum + (own.gain - gain) ** 2, 0);
  return Math.max(fromPictures, Math.sqrt(squares / (count - 1) / count));
}

export function taskResult(
  about: Pick<ImageTaskResult, 'name' | 'classes' | 'train' | 'validation' | 'test'>,
  seeds: SeedResult[],
): ImageTaskResult {
  const of = (value: (own: SeedResult) => number) => mean(seeds.map(value));
  return {
    ...about,
    probe: of(({probe}) => probe),
    adapted: of(({adapted}) => adapted),
    gain: of(({gain}) => gain),
    gainStderr: meanGainError(seeds),
    keptEpoch: of(({keptEpoch}) => keptEpoch),
    rate: of(({rate}) => rate),
    seeds,
  };
}
