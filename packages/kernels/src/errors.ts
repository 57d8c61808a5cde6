import {isInstance, SHARED_CLASS} from './shared.js';

/**
 * Base of every error that the tfjs-peft packages throw on purpose. `instanceof` holds across an ESM and a
 * CJS copy of the package, which a page can end up with.
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

/** An option that is unknown, missing or out of range. */
export class ConfigError extends PeftError {
  static override readonly kind = 'ConfigError';
}

/** A tensor whose rank, shape or dtype does not fit the others. */
export class ShapeError extends PeftError {
  static override readonly kind = 'ShapeError';
}

/** No layer or node of the model matches the targets. */
export class NoTargetError extends PeftError {
  static override readonly kind = 'NoTargetError';
}

/** A targeted layer or node that cannot carry the adapter. */
export class UnsupportedSiteError extends PeftError {
  static override readonly kind = 'UnsupportedSiteError';
}

/** A file whose weights are missing, extra, misshaped, or belong to another base model. */
export class WeightMismatchError extends PeftError {
  static override readonly kind = 'WeightMismatchError';
}

/** A safetensors file that is truncated or malformed. */
export class SafetensorsError extends PeftError {
  static override readonly kind = 'SafetensorsError';
}

/** An op between an adapter and the loss has no gradient. */
export class NoGradientError extends PeftError {
  static override readonly kind = 'NoGradientError';
}

/** An adapter of that name exists already. */
export class DuplicateNameError extends PeftError {
  static override readonly kind = 'DuplicateNameError';
}

/** A backend's internals are not as this package expects them. */
export class BackendError extends PeftError {
  static override readonly kind = 'BackendError';
}
