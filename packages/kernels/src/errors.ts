import {isInstance, SHARED_CLASS} from './shared.js';

/**
 * Base of all errors that the tfjs-peft packages throw on purpose. `instanceof` also works between the ESM
 * and the CJS copy of a package, which one page can load.
 *
 * @example
 * ```ts
 * import {PeftError} from '@tfjs-peft/kernels';
 *
 * const adviceOf = (error: unknown) => (error instanceof PeftError ? error.message : undefined);
 * ```
 */
export class PeftError extends Error {
  static readonly [SHARED_CLASS] = true;
  static readonly kind: string = 'PeftError';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.kind;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: a subclass's instanceof asks for the subclass's kind.
    return isInstance(this, value);
  }
}

/**
 * An option is unknown, missing or out of range.
 *
 * @example
 * ```ts
 * import {ConfigError} from '@tfjs-peft/kernels';
 *
 * const isConfigError = (error: unknown) => error instanceof ConfigError;
 * ```
 */
export class ConfigError extends PeftError {
  static override readonly kind = 'ConfigError';
}

/**
 * The rank, shape or dtype of a tensor does not fit the others.
 *
 * @example
 * ```ts
 * import {ShapeError} from '@tfjs-peft/kernels';
 *
 * const isShapeError = (error: unknown) => error instanceof ShapeError;
 * ```
 */
export class ShapeError extends PeftError {
  static override readonly kind = 'ShapeError';
}

/**
 * No layer or node of the model matches the targets.
 *
 * @example
 * ```ts
 * import {NoTargetError} from '@tfjs-peft/kernels';
 *
 * const isNoTargetError = (error: unknown) => error instanceof NoTargetError;
 * ```
 */
export class NoTargetError extends PeftError {
  static override readonly kind = 'NoTargetError';
}

/**
 * A targeted layer or node cannot carry the adapter.
 *
 * @example
 * ```ts
 * import {UnsupportedSiteError} from '@tfjs-peft/kernels';
 *
 * const isUnsupportedSiteError = (error: unknown) => error instanceof UnsupportedSiteError;
 * ```
 */
export class UnsupportedSiteError extends PeftError {
  static override readonly kind = 'UnsupportedSiteError';
}

/**
 * Weights of a file are missing, superfluous, of another shape, or belong to another base model.
 *
 * @example
 * ```ts
 * import {WeightMismatchError} from '@tfjs-peft/kernels';
 *
 * const isWeightMismatchError = (error: unknown) => error instanceof WeightMismatchError;
 * ```
 */
export class WeightMismatchError extends PeftError {
  static override readonly kind = 'WeightMismatchError';
}

/**
 * A safetensors file is truncated or malformed.
 *
 * @example
 * ```ts
 * import {SafetensorsError} from '@tfjs-peft/kernels';
 *
 * const isSafetensorsError = (error: unknown) => error instanceof SafetensorsError;
 * ```
 */
export class SafetensorsError extends PeftError {
  static override readonly kind = 'SafetensorsError';
}

/**
 * An op between an adapter and the loss has no correct gradient.
 *
 * @example
 * ```ts
 * import {NoGradientError} from '@tfjs-peft/kernels';
 *
 * const isNoGradientError = (error: unknown) => error instanceof NoGradientError;
 * ```
 */
export class NoGradientError extends PeftError {
  static override readonly kind = 'NoGradientError';
}

/**
 * An adapter, router or site of that name already exists.
 *
 * @example
 * ```ts
 * import {DuplicateNameError} from '@tfjs-peft/kernels';
 *
 * const isDuplicateNameError = (error: unknown) => error instanceof DuplicateNameError;
 * ```
 */
export class DuplicateNameError extends PeftError {
  static override readonly kind = 'DuplicateNameError';
}

/**
 * The internals of a tfjs backend are not as this package expects.
 *
 * @example
 * ```ts
 * import {BackendError} from '@tfjs-peft/kernels';
 *
 * const isBackendError = (error: unknown) => error instanceof BackendError;
 * ```
 */
export class BackendError extends PeftError {
  static override readonly kind = 'BackendError';
}
