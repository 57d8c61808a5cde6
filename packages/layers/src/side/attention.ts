import * as tf from '@tensorflow/tfjs-core';
import {combine, keepsHalves, matMul} from '@tfjs-peft/kernels';
import type {Weight} from '@tfjs-peft/routers';
import {kaiming} from '../core/adapters/low-rank.js';
import type {AddSideWeight} from './weights.js';

/** A linear map with bias, x W + b. */
export class Linear {
  private kernel!: Weight;
  private bias!: Weight;

  /** Declares `<name>_w` [from, to] and `<name>_b` [to]. */
  build(name: string, from: number, to: number, add: AddSideWeight, zero = false): this {
    this.kernel = add(`${name}_w`, [from, to], zero ? {type: 'zeros'} : kaiming(from));
    this.bias = add(`${name}_b`, [to], {type: 'zeros'});
    return this;
  }

  apply<T extends tf.Tensor>(x: T): T {
    const [kernel, bias] = [this.kernel.read() as tf.Tensor2D, this.bias.read() as tf.Tensor1D];
    return combine({x, kernel, bias}) as T;
  }

  /** z + x W + b. */
  addTo<T extends tf.Tensor>(z: T, x: tf.Tensor): T {
    const [b, offset] = [this.kernel.read() as tf.Tensor2D, this.bias.read() as tf.Tensor1D];
    return combine({z, h: x, b, offset}) as T;
  }
}

/**
 * Multi-head self-attention with biases. The heads are equal runs of the width, one behind the other, and
 * scores are scaled by 1/√(width / heads).
 */
export class Attention {
  private readonly maps: Partial<Record<'q' | 'k' | 'v' | 'o', Linear>> = {};

  /** @param alone Samples have a single token: its attention is its own value, and takes no q and k. */
  constructor(
    private readonly heads: number,
    private readonly alone: boolean,
  ) {}

  build(width: number, add: AddSideWeight): void {
    for (const name of this.alone ? (['v', 'o'] as const) : (['q', 'k', 'v', 'o'] as const))
      this.maps[name] = new Linear().build(name, width, width, add);
  }

  /** @param mask 1 for a token that others may attend to, else 0, [B, T]. */
  apply(x: tf.Tensor3D, mask?: tf.Tensor2D): tf.Tensor3D {
    const {q, k, v, o} = this.maps;
    return tf.tidy(() => {
      if (q === undefined || k === undefined) return o!.apply(v!.apply(x));
      const [batch, tokens, width] = x.shape;
      const {heads} = this;
      const each = width / heads;
      const split = (map: Linear): tf.Tensor3D => {
        const apart = tf.reshape(map.apply(x), [batch, tokens, heads, each]);
        return tf.reshape(tf.transpose(apart, [0, 2, 1, 3]), [batch * heads, tokens, each]);
      };
      const scores = matMul(split(q), split(k), false, true, 1 / Math.sqrt(each));
      const heard = matMul(tf.softmax(masked(scores, heads, mask)), split(v!));
      const joined = tf.transpose(tf.reshape(heard, [batch, heads, tokens, each]), [0, 2, 1, 3]);
      return o!.apply(tf.reshape(joined, [batch, tokens, width]));
    });
  }
}

/** Scores [B · heads, T, T] with those of masked keys so low that their softmax is 0. */
function masked(scores: tf.Tensor, heads: number, mask: tf.Tensor2D | undefined): tf.Tensor {
  if (mask === undefined) return scores;
  const [batch, tokens] = mask.shape;
  // Halves end at 65504.
  const low = keepsHalves() ? -3e4 : -1e9;
  const added = tf.reshape(tf.mul(tf.sub(1, mask), low), [batch, 1, 1, tokens]);
  const apart = tf.add(tf.reshape(scores, [batch, heads, tokens, tokens]), added);
  return tf.reshape(apart, scores.shape);
}
