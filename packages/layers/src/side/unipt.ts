import * as tf from '@tensorflow/tfjs-core';
import {matMul} from '@tfjs-peft/kernels';
import type {Weight} from '@tfjs-peft/routers';
import {Linear} from './attention.js';
import {type FullSideConfig, ismoeOptions} from './config.js';
import {Ismoe} from './ismoe.js';
import {Norm} from './ladder.js';
import {recomputed} from './recompute.js';
import {maskedMean} from './tokens.js';
import {type AddSideWeight, listed, within} from './weights.js';
import type {Tap, TapContext, Wiring} from './wiring.js';

/** The least sum of a row's cross weights that is divided by. */
const LEAST_SUM = 1e-6;

/**
 * A side network wired as UniPT is, with an ISMoE in the place of its feed-forward part. A reconstruction:
 * MP-ISMoE (arXiv 2605.04058) names UniPT as one of its bases and does not say how the two meet.
 *
 *     t_l = LN(h_l W_l + b_l);  a_l = relu(t_L t_lᵀ) / Σ;  m_l = a_l t_l + t_l
 *     c = softmax_l(mean(t_L) · mean(m_l));  u = LN(t_L + Σ_l c_l m_l);  s = LN(u + ISMoE(u))
 *
 * The last tap L is the anchor; its own tokens are among those that are merged.
 */
export class Unipt implements Wiring {
  private readonly maps: {down: Linear; norm: Norm}[];
  private readonly norms = [new Norm(), new Norm()] as const;
  private readonly mixture: Ismoe;
  private weights: Weight[] = [];

  constructor(
    private readonly config: FullSideConfig,
    private readonly widths: readonly number[],
  ) {
    this.maps = widths.map(() => ({down: new Linear(), norm: new Norm()}));
    this.mixture = new Ismoe(ismoeOptions(config));
  }

  build(declare: AddSideWeight): void {
    const {width, hidden} = this.config;
    this.weights = [];
    const add = listed(declare, this.weights);
    for (const [i, {down, norm}] of this.maps.entries()) {
      const own = within(`tap${i + 1}`, add);
      down.build('down', this.widths[i]!, width, own);
      norm.build('norm', width, own);
    }
    this.norms[0].build('norm1', width, add);
    this.norms[1].build('norm2', width, add);
    this.mixture.build({width, hidden, salient: this.widths.at(-1)!}, add);
  }

  apply(taps: readonly Tap[], {mask, frozen = false}: TapContext): tf.Tensor3D {
    if (!this.config.recompute) return this.run(taps, mask);
    const places = [taps.at(-1)!.salient, ...taps.map(({tokens}) => tokens)];
    return recomputed(
      ([salient, ...given]) => {
        const tokens = given.slice(0, taps.length) as tf.Tensor3D[];
        const own = tokens.map((each) => ({tokens: each, salient: salient as tf.Tensor2D}));
        return this.run(own, mask && (given.at(-1) as tf.Tensor2D));
      },
      {
        inputs: frozen ? [] : places,
        constants: [...(frozen ? places : []), ...(mask === undefined ? [] : [mask])],
        weights: this.weights,
      },
    );
  }

  /** Only the anchor's salient token is read. */
  private run(taps: readonly Tap[], mask?: tf.Tensor2D): tf.Tensor3D {
    return tf.tidy(() => {
      const tokens = taps.map((tap, i) => this.maps[i]!.norm.apply(this.maps[i]!.down.apply(tap.tokens)));
      const anchor = tokens.at(-1)!;
      const merged = tokens.map((each) => tf.add(crossed(anchor, each, mask), each) as tf.Tensor3D);
      const target = maskedMean(anchor, mask);
      const logits = merged.map((each) => tf.sum(tf.mul(target, maskedMean(each, mask)), -1, true));
      const shares = tf.softmax(tf.concat(logits, 1));
      const weighed = merged.map((each, i) =>
        tf.mul(each, tf.expandDims(tf.slice(shares, [0, i], [-1, 1]), 2)),
      );
      const u = this.norms[0].apply(tf.addN([anchor, ...weighed]) as tf.Tensor3D);
      const mixed = this.mixture.apply(u, taps.at(-1)!.salient);
      return this.norms[1].apply(tf.add(u, mixed) as tf.Tensor3D);
    });
  }
}

/** Tokens by how much the anchor's agree with each, the weights of an anchor's token summing to 1. */
function crossed(anchor: tf.Tensor3D, tokens: tf.Tensor3D, mask?: tf.Tensor2D): tf.Tensor {
  const agreement = tf.relu(matMul(anchor, tokens, false, true));
  const weights = mask === undefined ? agreement : tf.mul(agreement, tf.expandDims(mask, 1));
  const sums = tf.add(tf.sum(weights, -1, true), LEAST_SUM);
  return matMul(tf.div(weights, sums), tokens);
}
