import {PeftError} from '@tfjs-peft/kernels';

/** One change that {@link normalizeArtifacts} made. */
export interface Repair {
  /** Name of the rule, such as `batch-norm` or `weight-names`. */
  rule: string;
  /** Name of the node, layer or weight. */
  where: string;
  /** The fault and its repair, in words. */
  what: string;
}

export type Log = (rule: string, where: string, what: string) => void;

/**
 * A model that tfjs cannot run and that no rule repairs. The message names the layer or node and a way out.
 *
 * @example
 * ```ts
 * import {UnsupportedModelError} from '@tfjs-peft/layers/repair';
 *
 * const needsConversion = (error: unknown) => error instanceof UnsupportedModelError;
 * ```
 */
export class UnsupportedModelError extends PeftError {
  static override readonly kind = 'UnsupportedModelError';
}
