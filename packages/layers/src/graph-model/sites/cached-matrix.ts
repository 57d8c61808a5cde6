import * as tf from '@tensorflow/tfjs-core';
import {isPackedVariable} from '../../core/tfjs/packed-variable.js';
import type {Constant} from '../constants.js';

/**
 * A frozen weight as the matrix of a site, made once. If it were made in every step, it would be on the
 * gradient tape with everything from which it is made, even if only its shape differs.
 */
export class CachedMatrix {
  private kept: {from: tf.Tensor; matrix: tf.Tensor2D} | undefined;

  /** @param transposed Whether the matrix is the transpose of what the weight has in its last two axes. */
  constructor(
    private readonly weight: Constant,
    private readonly toMatrix: (weight: tf.Tensor) => tf.Tensor,
    private readonly transposed = false,
  ) {}

  /** The matrix of the weight that the executor holds now. */
  read(): tf.Tensor2D {
    const from = this.weight.read();
    if (isPackedVariable(from)) {
      this.dispose();
      return from.matrix(this.transposed);
    }
    // Its values change, and its gradient has to pass.
    if (from instanceof tf.Variable) return this.toMatrix(from) as tf.Tensor2D;
    if (this.kept?.from !== from) {
      this.dispose();
      this.kept = {from, matrix: this.make(from)};
    }
    return this.kept!.matrix;
  }

  dispose(): void {
    if (this.kept?.matrix !== this.kept?.from) this.kept!.matrix.dispose();
    this.kept = undefined;
  }

  private make(from: tf.Tensor): tf.Tensor2D {
    return tf.tidy(() => {
      const made = this.toMatrix(from) as tf.Tensor2D;
      return made === from ? made : tf.keep(made);
    });
  }
}
