import type {Tensor, Tensor2D, Tensor3D} from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import {matMul, ShapeError} from '@tfjs-peft/kernels';
import {
  type AddWeight,
  checkBoolean,
  checkChoice,
  checkCount,
  checkOptions,
  type Weight,
} from '@tfjs-peft/routers';
import type {AdapterView, SiteDims} from '../adapter.js';

/** LiME over virtual tokens before a sequence of embedded tokens. */
export interface LimePromptConfig {
  type: 'prompt';
  /** Default 10. */
  virtualTokens?: number;
  /** Train the base prompt too. Default false: only the change of it. */
  learnableBase?: boolean;
  /**
   * What the router sees of the sequence, besides the prompt: the `mean` of its unmasked tokens, the `first`
   * token, the `last` unmasked one, or by `attention` a sum of its unmasked tokens t_i, weighed by
   * softmax_i(q · t_i), with q the plain mean of all of them, masked ones too, as in the released code. With
   * `none`, all samples are routed the same way. Default `mean`.
   */
  conditioning?: 'none' | 'mean' | 'first' | 'last' | 'attention';
  /** Pass that through a learned matrix, which starts as the identity. Default false. */
  inputProjection?: boolean;
}

const CONDITIONS = ['none', 'mean', 'first', 'last', 'attention'] as const;

const OPTIONS = ['type', 'virtualTokens', 'learnableBase', 'conditioning', 'inputProjection'] as const;

/** The score of a masked token, whose weight is then 0. */
const UNHEARD = -1e9;

/** Deviation of the base prompt's initial values. */
const BASE_STDDEV = 0.02;

/** The prompt of a batch. The first axis is the batch, or 1 if all samples share the prompt. */
export interface Prompt {
  /** The frozen output's part, [1, V, d]. */
  base: Tensor3D;
  /** The module's own output, [1, V, d]. */
  delta: Tensor3D;
  /** The router's first stream: the base prompt plus its condition from the sequence, [batch or 1, V, d]. */
  stream: Tensor3D;
}

/**
 * The released code's prompt (Kowsher/LiME): V virtual tokens z + d ∘ (Σ_e g_e p_e + γ p_s), of a base prompt
 * z and a change d of it that starts at zero. Weights `prompt_base` [V, d] from N(0, 0.02²), trained with
 * `learnableBase` only, `prompt_delta` [V, d] zeros, and with `inputProjection` `input_projection` [d, d].
 */
export class PromptModule {
  readonly virtualTokens: number;
  readonly dropsAt: 'adapter' | 'nothing';
  private readonly config: Required<LimePromptConfig>;
  private base!: Weight;
  private delta!: Weight;
  private projection?: Weight;

  /** @throws ConfigError if an option is unknown or out of range, or there is nothing to project. */
  constructor(config: LimePromptConfig) {
    const what = 'lime adapter: over';
    checkOptions(what, config, OPTIONS);
    this.virtualTokens = checkCount(what, 'virtualTokens', config.virtualTokens, {fallback: 10});
    this.config = {
      type: 'prompt',
      virtualTokens: this.virtualTokens,
      learnableBase: checkBoolean(what, 'learnableBase', config.learnableBase, false),
      conditioning: checkChoice(what, 'conditioning', config.conditioning, CONDITIONS, 'mean'),
      inputProjection: checkBoolean(what, 'inputProjection', config.inputProjection, false),
    };
    this.dropsAt = this.config.conditioning === 'none' ? 'nothing' : 'adapter';
  }

  build({outputDim}: SiteDims, add: AddWeight): void {
    const {learnableBase, inputProjection} = this.config;
    const shape = [this.virtualTokens, outputDim];
    this.base = add('prompt_base', shape, {type: 'normal', stddev: BASE_STDDEV}, learnableBase);
    this.delta = add('prompt_delta', shape, {type: 'zeros'});
    if (inputProjection)
      this.projection = add('input_projection', [outputDim, outputDim], {type: 'identity'});
  }

  /** @throws ShapeError if the embedded tokens are not a batch of sequences. */
  read({input, context, drop}: AdapterView): Prompt {
    if (input.rank !== 3) {
      throw new ShapeError(
        'lime adapter: a prompt needs sequences [batch, length, d], but the embedded input is ' +
          `[${input.shape}]. Pass sequences of tokens to the Embedding.`,
      );
    }
    const base = tf.expandDims(this.base.read(), 0) as Tensor3D;
    const delta = tf.expandDims(this.delta.read(), 0) as Tensor3D;
    const {conditioning} = this.config;
    if (conditioning === 'none') return {base, delta, stream: base};
    const condition = this.conditionOf(
      (drop?.(input) ?? input) as Tensor3D,
      conditioning,
      context?.mask as Tensor2D | undefined,
    );
    const mapped = this.projection === undefined ? condition : matMul(condition, this.projection.read());
    return {base, delta, stream: tf.add(base, tf.expandDims(mapped, 1))};
  }

  /** One vector of each sequence, [batch, d]. */
  private conditionOf(
    input: Tensor3D,
    conditioning: 'mean' | 'first' | 'last' | 'attention',
    mask: Tensor2D | undefined,
  ): Tensor2D {
    const [batch, length, width] = input.shape;
    if (conditioning === 'mean') {
      if (mask === undefined) return tf.mean(input, 1);
      const total = tf.sum(tf.mul(input, tf.expandDims(mask, -1)), 1);
      return tf.div(total, tf.maximum(tf.sum(mask, 1, true), 1));
    }
    if (conditioning === 'attention') {
      const query = tf.mean(input, 1, true);
      const scores = tf.sum(tf.mul(input, query), -1);
      const heard = mask === undefined ? scores : tf.where(tf.greater(mask, 0), scores, UNHEARD);
      return tf.sum(tf.mul(input, tf.expandDims(tf.softmax(heard), -1)), 1);
    }
    if (conditioning === 'first')
      return tf.reshape(tf.slice(input, [0, 0, 0], [batch, 1, width]), [batch, width]);
    const places = tf.range(0, length);
    const last =
      mask === undefined ? tf.fill([batch], length - 1) : tf.argMax(tf.mul(mask, tf.add(places, 1)), 1);
    const chosen = tf.oneHot(tf.cast(last, 'int32') as tf.Tensor1D, length);
    return tf.sum(tf.mul(input, tf.expandDims(tf.cast(chosen, 'float32'), -1)), 1);
  }

  getConfig(): LimePromptConfig {
    return {...this.config};
  }
}

/** The first `size` columns. */
export function leading(stream: Tensor, size: number): Tensor {
  return tf.slice(stream, [0, 0, 0], [stream.shape[0]!, stream.shape[1]!, size]);
}
