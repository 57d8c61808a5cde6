import type * as tf from '@tensorflow/tfjs-core';
import type {AddSideWeight} from './weights.js';

/** What the backbone gives at one place. */
export interface Tap {
  /** Its tokens, [B, T, D]. */
  tokens: tf.Tensor3D;
  /** The token of it that routers read, [B, D]. */
  salient: tf.Tensor2D;
}

/** What goes with all taps. */
export interface TapContext {
  /** 1 for a real token, else 0, [B, T]. Default: all are real. */
  mask?: tf.Tensor2D | undefined;
  /** Whether the taps have no gradients. Default false. */
  frozen?: boolean;
}

/** From the taps to the last side state. */
export interface Wiring {
  build(add: AddSideWeight): void;
  /** @returns [B, T, width]. */
  apply(taps: readonly Tap[], context: TapContext): tf.Tensor3D;
}
