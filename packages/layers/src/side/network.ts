import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {checkBoolean, checkCount, checkOptions} from '@tfjs-peft/routers';
import {Linear} from './attention.js';
import {checkSide, type FullSideConfig, type SideNetworkConfig} from './config.js';
import {Ladder} from './ladder.js';
import {asTokens, firstToken, maskedMean} from './tokens.js';
import {Unipt} from './unipt.js';
import {type AddSideWeight, bounded} from './weights.js';
import type {Tap, Wiring} from './wiring.js';

/** What a {@link SideNetwork} stands beside. */
export interface SideDims {
  /** Channels of each tap, in the order of the taps; the last one's are those that the output has. */
  widths: readonly number[];
  /**
   * Whether a sample can have several tokens. If not, the attention is each token's own value, and has no
   * weights for queries and keys. Default true.
   */
  tokens?: boolean;
}

/**
 * A side network (MP-ISMoE, arXiv 2605.04058, Figure 1): small blocks beside a frozen backbone, each of which
 * reads what one block of the backbone gives. No gradient needs to enter the backbone:
 *
 *     s_0 = down_0(h_0);  x_l = s_(l-1) + down_l(h_l);  u_l = LN(x_l + MHA(x_l))
 *     s_l = LN(u_l + ISMoE(u_l, salient token of h_l));  y = h_L + up(s_L)
 *
 * `up` starts at zero, so that at the start y is h_L. `attachSideNetwork` puts one into a model; this class
 * is the pure computation, for your own code.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import {SideNetwork} from '@tfjs-peft/layers/side';
 *
 * const side = new SideNetwork({reduction: 4, experts: 4}, {widths: [32, 32, 32]});
 * side.build((_name, shape) => {
 *   const value = tf.variable(tf.randomNormal(shape, 0, 0.1));
 *   return {read: () => value};
 * });
 * const [h0, h1, h2] = [tf.ones([2, 5, 32]), tf.ones([2, 5, 32]), tf.ones([2, 5, 32])];
 * const y = side.apply([h0, h1, h2]); // [2, 5, 32]
 * ```
 */
export class SideNetwork {
  /** All options with their defaults. */
  readonly config: FullSideConfig;
  /** Channels of the taps. */
  readonly widths: readonly number[];
  private readonly wiring: Wiring;
  private readonly up = new Linear();

  /** @throws ConfigError if an option or a width is unknown or out of range. */
  constructor(config: SideNetworkConfig, dims: SideDims) {
    const what = 'side network';
    const {widths, tokens} = checkOptions(what, dims, ['widths', 'tokens']);
    if (!Array.isArray(widths) || widths.length === 0)
      throw new ConfigError(`${what}: widths must be a list of the taps' channels, such as [768, 768].`);
    this.widths = widths.map((width, i) => checkCount(what, `widths[${i}]`, width));
    this.config = checkSide(what, config, this.widths);
    const alone = !checkBoolean(what, 'tokens', tokens, true);
    this.wiring =
      this.config.wiring === 'unipt'
        ? new Unipt(this.config, this.widths)
        : new Ladder(this.config, this.widths, alone);
  }

  /**
   * Declares the weights. Called once, before `apply`.
   *
   * @throws ConfigError if they are too many.
   */
  build(add: AddSideWeight): void {
    const declare = bounded(add);
    this.wiring.build(declare);
    this.up.build('up', this.config.width, this.widths.at(-1)!, declare, true);
  }

  /**
   * The last tap, with the side network's output added.
   *
   * @param taps What the backbone gives, [B, T, D_l], [B, D_l] or [B, ..., D_l], float32, in the order of
   * `widths`. The numbers of tokens must be equal.
   * @param mask 1 for a real token, 0 for padding, [B, T], float32: no token attends to padding, and `mean`
   * leaves it out. Default: all are real.
   * @param frozen Whether the taps need no gradients, which `recompute` then does not compute. Default false.
   * @returns The shape of the last tap.
   * @throws ShapeError if a shape does not fit.
   */
  apply(taps: readonly tf.Tensor[], mask?: tf.Tensor2D, frozen = false): tf.Tensor {
    return tf.tidy(() => {
      const read = this.read(taps, mask);
      const state = this.wiring.apply(read, {mask, frozen});
      const last = taps.at(-1)!;
      return tf.reshape(this.up.addTo(read.at(-1)!.tokens, state), last.shape);
    });
  }

  private read(taps: readonly tf.Tensor[], mask: tf.Tensor2D | undefined): Tap[] {
    const {widths, config} = this;
    if (taps.length !== widths.length)
      throw new ShapeError(
        `side network: there are ${taps.length} taps for ${widths.length} widths. Pass one each.`,
      );
    const all = taps.map(asTokens);
    const [batch, tokens] = all.at(-1)!.shape;
    for (const [i, {shape}] of all.entries()) {
      if (shape[0] === batch && shape[1] === tokens && shape[2] === widths[i]) continue;
      throw new ShapeError(
        `side network: tap ${i + 1} has ${shape[1]} tokens of ${shape[2]} channels for ${shape[0]} samples, ` +
          `but must have ${tokens} of ${widths[i]} for ${batch}, as the last has. Tap other places.`,
      );
    }
    if (mask !== undefined && (mask.rank !== 2 || mask.shape[0] !== batch || mask.shape[1] !== tokens))
      throw new ShapeError(`side network: mask is [${mask.shape}], but must be [${batch}, ${tokens}].`);
    return all.map((each) => ({
      tokens: each,
      salient: config.salient === 'first' ? firstToken(each) : maskedMean(each, mask),
    }));
  }
}
