import * as tf from '@tensorflow/tfjs-core';
import {checkNumber} from '@tfjs-peft/routers';

/**
 * Losses that a layer's router adds while a gradient is being taken. tfjs-layers asks a layer for
 * them once per use of it after the forward pass, as scalars; the first question gets the sum
 * over all uses, further ones zero.
 *
 * Losses that a layer's router adds while a gradient is being taken. tfjs-layers asks a layer for them once
 * per use of it after the forward pass, as scalars; the first call gets the sum over all uses, further calls
 * get zero. The scalars are kept, since TimeDistributed and the like tidy up after each call; a custom loop
 * that never asks holds those of one step at most.
 */
export class AuxiliaryLoss {
  private kept: tf.Tensor[] = [];
  private tape: unknown;

  add(loss: tf.Tensor): void {
    const {activeTape, gradientDepth} = tf.engine().state;
    // Without a tape nobody will ask.
    if (gradientDepth === 0) return;
    if (activeTape !== this.tape) this.dispose();
    this.tape = activeTape;
    this.kept.push(tf.keep(tf.clone(loss)));
  }

  /** Returns the sum since the last call, a scalar, and starts anew. */
  take(): tf.Scalar {
    const total = tf.tidy(() =>
      this.kept.length === 0
        ? tf.scalar(0)
        : (tf.addN(this.kept.map((loss) => tf.reshape(loss, []))) as tf.Scalar),
    );
    this.dispose();
    return total;
  }

  dispose(): void {
    tf.dispose(this.kept);
    this.kept = [];
    this.tape = undefined;
  }
}

/** The factor of the routers' losses at all sites of a model. */
export class LossScale {
  private factor = 1;

  /** @throws ConfigError if it is no finite number of at least 0. */
  set(factor: number): void {
    this.factor = checkNumber('scaleLosses', 'factor', factor, {min: 0});
  }

  readonly get = (): number => this.factor;
}
