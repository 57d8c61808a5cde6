import * as tf from '@tensorflow/tfjs-core';
import {layerNorm} from '@tfjs-peft/kernels';
import type {Weight} from '@tfjs-peft/routers';
import {Attention, Linear} from './attention.js';
import {type FullSideConfig, ismoeOptions} from './config.js';
import {Ismoe} from './ismoe.js';
import {recomputed} from './recompute.js';
import {type AddSideWeight, listed, within} from './weights.js';
import type {Tap, TapContext, Wiring} from './wiring.js';

/** LST's temperature of the learned share of the side state. */
const TEMPERATURE = 0.1;

const EPSILON = 1e-5;

/** A layer norm with gain and shift. */
export class Norm {
  private gain!: Weight;
  private shift!: Weight;

  /** Declares `<name>_g` and `<name>_b`, [width]. */
  build(name: string, width: number, add: AddSideWeight): this {
    this.gain = add(`${name}_g`, [width], {type: 'ones'});
    this.shift = add(`${name}_b`, [width], {type: 'zeros'});
    return this;
  }

  apply<T extends tf.Tensor>(x: T): T {
    return layerNorm(x, this.gain.read() as tf.Tensor1D, this.shift.read() as tf.Tensor1D, EPSILON) as T;
  }
}

/** One block beside one tap: joins, attends, mixes (MP-ISMoE, Figure 1). */
class Block {
  private readonly down = new Linear();
  private share: Weight | undefined;
  private readonly attention: Attention;
  private readonly norms = [new Norm(), new Norm()] as const;
  private readonly mixture: Ismoe;
  private weights: Weight[] = [];

  constructor(
    private readonly config: FullSideConfig,
    /** Whether there is a side state before it. */
    private readonly follows: boolean,
    alone: boolean,
  ) {
    this.attention = new Attention(config.heads, alone);
    this.mixture = new Ismoe(ismoeOptions(config));
  }

  build(salient: number, add: AddSideWeight): void {
    const {width, hidden, combine} = this.config;
    this.weights = [];
    const own = listed(add, this.weights);
    this.down.build('down', salient, width, own);
    if (this.follows && combine === 'lst') this.share = own('share', [1], {type: 'zeros'});
    this.attention.build(width, own);
    this.norms[0].build('norm1', width, own);
    this.norms[1].build('norm2', width, own);
    this.mixture.build({width, hidden, salient}, own);
  }

  apply(state: tf.Tensor3D | undefined, tap: Tap, {mask, frozen = false}: TapContext): tf.Tensor3D {
    if (!this.config.recompute) return this.run(state, tap, mask);
    const states = state === undefined ? [] : [state];
    const places = [tap.tokens, tap.salient];
    return recomputed(
      (given) => {
        const at = frozen ? states.length : 0;
        const [tokens, salient] = given.slice(at) as [tf.Tensor3D, tf.Tensor2D];
        const before = state && (given[frozen ? 0 : places.length] as tf.Tensor3D);
        return this.run(before, {tokens, salient}, mask && (given.at(-1) as tf.Tensor2D));
      },
      {
        inputs: frozen ? states : [...places, ...states],
        constants: [...(frozen ? places : []), ...(mask === undefined ? [] : [mask])],
        weights: this.weights,
      },
    );
  }

  private run(state: tf.Tensor3D | undefined, {tokens, salient}: Tap, mask?: tf.Tensor2D): tf.Tensor3D {
    return tf.tidy(() => {
      const x = this.join(state, tokens);
      const u = this.norms[0].apply(tf.add(x, this.attention.apply(x, mask)) as tf.Tensor3D);
      return this.norms[1].apply(tf.add(u, this.mixture.apply(u, salient)) as tf.Tensor3D);
    });
  }

  private join(state: tf.Tensor3D | undefined, tokens: tf.Tensor3D): tf.Tensor3D {
    if (state === undefined) return this.down.apply(tokens);
    if (this.share === undefined) return this.down.addTo(state, tokens);
    const share = tf.sigmoid(tf.div(this.share.read(), TEMPERATURE));
    const projected = this.down.apply(tokens);
    return tf.add(tf.mul(share, state), tf.mul(tf.sub(1, share), projected)) as tf.Tensor3D;
  }
}

/** A block for each tap, each after the other. */
export class Ladder implements Wiring {
  private readonly start: Linear | undefined;
  private readonly blocks: Block[];

  /** @param alone Samples have a single token. */
  constructor(
    private readonly config: FullSideConfig,
    private readonly widths: readonly number[],
    alone: boolean,
  ) {
    const embedded = config.init === 'embedding';
    this.start = embedded ? new Linear() : undefined;
    const inner = widths.slice(embedded ? 1 : 0);
    this.blocks = inner.map((_, i) => new Block(config, embedded || i > 0, alone));
  }

  build(add: AddSideWeight): void {
    const first = this.widths.length - this.blocks.length;
    this.start?.build('down0', this.widths[0]!, this.config.width, add);
    for (const [i, block] of this.blocks.entries())
      block.build(this.widths[first + i]!, within(`block${i + 1}`, add));
  }

  apply(taps: readonly Tap[], context: TapContext): tf.Tensor3D {
    return tf.tidy(() => {
      const first = taps.length - this.blocks.length;
      let state = this.start?.apply(taps[0]!.tokens);
      for (const [i, block] of this.blocks.entries()) state = block.apply(state, taps[first + i]!, context);
      return state!;
    });
  }
}
