import * as tf from '@tensorflow/tfjs-core';
import {combine, matMul, project, ShapeError} from '@tfjs-peft/kernels';
import {checkCount, checkOptions, type Weight} from '@tfjs-peft/routers';
import {kaiming} from '../core/adapters/low-rank.js';
import {checkIsmoe, type FullIsmoeConfig, fusedName, type IsmoeConfig} from './config.js';
import {interactionGates} from './gates.js';
import type {AddSideWeight, SideInit} from './weights.js';

/** Standard deviation of the router's initial weights: at zero, all tokens would go to the same experts. */
const ROUTER_STDDEV = 0.02;

/** Widths of an {@link Ismoe}. */
export interface IsmoeDims {
  /** Width of the tokens, d. */
  width: number;
  /** Width of the experts' hidden layer, f. */
  hidden: number;
  /** Width of the backbone's token, D. */
  salient: number;
}

/**
 * A mixture of experts with a say of the backbone (ISMoE of MP-ISMoE, arXiv 2605.04058, equations 6 to 8):
 *
 *     c = Norm(h rᵀ),  g' = (softmax(x G) + c) / 2,  y = Σ_i gate_i(g') · (act(x W1_i + b1_i) W2_i + b2_i)
 *
 * x are the side network's tokens, h is one token of the backbone per sample. No code was published; the
 * options name what the paper leaves open.
 *
 * Weights, the experts side by side: `router` [d, N], `router_bias` [N] if asked for, `interaction` [N, D],
 * `w1` [d, N · f], `b1` [N · f], `w2` [N · f, d], `b2` [N, d]. The experts start as copies of one
 * feed-forward block, with noise.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {Ismoe} from '@tfjs-peft/layers/side';
 *
 * const layer = new Ismoe({experts: 4, topK: 2});
 * layer.build({width: 8, hidden: 16, salient: 32}, (_name, shape) => {
 *   const value = tf.variable(tf.randomNormal(shape));
 *   return {read: () => value};
 * });
 * const y = layer.apply(tf.ones([2, 5, 8]), tf.ones([2, 32])); // [2, 5, 8]
 * ```
 */
export class Ismoe {
  /** All options with their defaults. */
  readonly config: FullIsmoeConfig;
  private dims!: IsmoeDims;
  private readonly weights = new Map<string, Weight>();

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: IsmoeConfig = {}) {
    this.config = checkIsmoe('Ismoe', config);
  }

  /**
   * Declares the weights. Called once, before `apply`.
   *
   * @throws ConfigError if a width is not an integer of at least 1.
   */
  build(dims: IsmoeDims, add: AddSideWeight): void {
    const given = checkOptions('Ismoe', dims, ['width', 'hidden', 'salient']);
    const width = checkCount('Ismoe', 'width', given.width);
    const hidden = checkCount('Ismoe', 'hidden', given.hidden);
    const salient = checkCount('Ismoe', 'salient', given.salient);
    this.dims = {width, hidden, salient};
    const {experts, interaction, routerBias, noise} = this.config;
    const router: SideInit = {type: 'normal', stddev: ROUTER_STDDEV};
    const copies = (axis: 0 | 1, of: number): SideInit => ({
      type: 'copies',
      copies: experts,
      axis,
      of: kaiming(of),
      noise,
    });
    const declare = (name: string, shape: number[], init: SideInit) =>
      this.weights.set(name, add(name, shape, init));
    declare('router', [width, experts], router);
    if (routerBias) declare('router_bias', [experts], {type: 'zeros'});
    if (interaction) declare('interaction', [experts, salient], router);
    declare('w1', [width, experts * hidden], copies(1, width));
    declare('b1', [experts * hidden], {type: 'zeros'});
    declare('w2', [experts * hidden, width], copies(0, hidden));
    declare('b2', [experts, width], {type: 'zeros'});
  }

  /**
   * The gates of the experts, at most `topK` of a token's not 0.
   *
   * @param x [B, T, d], float32.
   * @param salient [B, D], float32.
   * @returns [B, T, N].
   * @throws ShapeError if a shape does not fit.
   */
  gates(x: tf.Tensor, salient: tf.Tensor): tf.Tensor3D {
    const {width, salient: wide} = this.dims;
    const [batch] = x.shape;
    if (x.rank !== 3 || x.shape[2] !== width)
      throw new ShapeError(`Ismoe: x is [${x.shape}], but must be [batch, tokens, ${width}]. Reshape it.`);
    const {interaction} = this.config;
    if (interaction && !(salient?.rank === 2 && salient.shape[0] === batch && salient.shape[1] === wide)) {
      throw new ShapeError(
        `Ismoe: salient is [${salient?.shape}], but must be [${batch}, ${wide}]: a token of the backbone for ` +
          'each sample of x.',
      );
    }
    return interactionGates(
      {
        x: x as tf.Tensor3D,
        kernel: this.read('router') as tf.Tensor2D,
        bias: this.weights.get('router_bias')?.read() as tf.Tensor1D | undefined,
        salient: interaction ? (salient as tf.Tensor2D) : undefined,
        interaction: interaction ? (this.read('interaction') as tf.Tensor2D) : undefined,
      },
      this.config,
    );
  }

  /**
   * The mixture's output.
   *
   * @param x [B, T, d], float32.
   * @param salient A token of the backbone for each sample, [B, D], float32; not read without `interaction`.
   * @returns [B, T, d].
   * @throws ShapeError if a shape does not fit.
   */
  apply(x: tf.Tensor, salient: tf.Tensor): tf.Tensor3D {
    return tf.tidy(() => this.mix(x as tf.Tensor3D, this.gates(x, salient)));
  }

  private mix(x: tf.Tensor3D, gates: tf.Tensor3D): tf.Tensor3D {
    const {experts, topK} = this.config;
    const few = topK < experts ? {gates, topK} : {};
    const {h} = project({x, a: this.read('w1') as tf.Tensor2D, ...few});
    const hidden = combine({
      z: h,
      offset: this.read('b1') as tf.Tensor1D,
      activation: fusedName(this.config.activation),
    });
    const [batch, tokens, width] = x.shape;
    const bias = matMul(tf.reshape(gates, [batch * tokens, experts]), this.read('b2'));
    return combine({
      z: tf.reshape(bias, [batch, tokens, width]),
      h: hidden,
      b: this.read('w2') as tf.Tensor2D,
      gates,
      mix: 'expert',
      ...(topK < experts && {topK}),
    }) as tf.Tensor3D;
  }

  private read(name: string): tf.Tensor {
    const weight = this.weights.get(name);
    if (weight === undefined) throw new ShapeError('Ismoe: the layer has no weights. Call build first.');
    return weight.read();
  }
}
