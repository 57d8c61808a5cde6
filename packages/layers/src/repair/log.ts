import {PeftError} from '@tfjs-peft/kernels';

/** One thing that {@link normalizeArtifacts} changed, so that nothing is changed in silence. */
export interface Repair {
  /** The rule that did it, such as `batch-norm` or `weight-names`. */
  rule: string;
  /** Name of the node, layer or weight. */
  where: string;
  /** What was wrong and what it is now. */
  what: string;
}

export type Log = (rule: string, where: string, what: string) => void;

/**
 * A model that tfjs cannot run and that no rule repairs; the message names the layer or node, and the way
 * out.
 */
export class UnsupportedModelError extends PeftError {
  static override readonly kind = 'UnsupportedModelError';
}
