import * as tf from '@tensorflow/tfjs-core';
import {checkCount, checkOptions, checkPositive, matMul} from '@tfjs-peft/kernels';
import {defineRouter} from '../define.js';
import {keepMasked, topKMask} from '../keep-top-k.js';
import type {Router, RouterView, Routing} from '../router.js';
import type {AddWeight, Weight} from '../weights.js';

/** Config of {@link ExpertChoiceRouter}. */
export interface ExpertChoiceRouterConfig {
  type: 'expert-choice';
  /** Number of experts, at least 1. */
  experts: number;
  /** Average number of experts per token. Default 2, or 1 if there is one expert. */
  capacity?: number;
}

const OPTIONS = ['capacity'] as const;

/**
 * Expert choice (Zhou et al., arXiv 2202.09368, section 3.2): p = softmax(x W) over the experts. Of the n
 * tokens of the batch, each expert keeps the round(capacity · n / experts) with the largest p; all other
 * gates are 0. Padded tokens are not chosen and do not count in n. Weight `router` W [d, experts] from N(0,
 * 0.02²).
 *
 * The experts of a token depend on all tokens of the batch, later ones included, so this router does not suit
 * causal generation. The gates do not sum to 1, so MoV does not start as the identity with it.
 *
 * @example
 * ```ts
 * import {ExpertChoiceRouter} from '@tfjs-peft/routers';
 *
 * const router = new ExpertChoiceRouter({type: 'expert-choice', experts: 4, capacity: 2});
 * ```
 */
export class ExpertChoiceRouter implements Router {
  readonly experts: number;
  readonly normalized = false;
  private readonly config: Required<ExpertChoiceRouterConfig>;
  private kernel!: Weight;

  /** @throws ConfigError if an option is unknown or out of range. */
  constructor(config: ExpertChoiceRouterConfig) {
    const what = 'expert-choice router';
    checkOptions(what, config, ['type', 'experts', ...OPTIONS]);
    this.experts = checkCount(what, 'experts', config.experts);
    const capacity = checkPositive(what, 'capacity', config.capacity, Math.min(2, this.experts));
    this.config = {type: 'expert-choice', experts: this.experts, capacity};
  }

  build(inputDim: number, add: AddWeight): void {
    this.kernel = add('router', [inputDim, this.experts], {type: 'normal', stddev: 0.02});
  }

  route({input, context}: RouterView): Routing {
    return tf.tidy(() => {
      const rows = tf.reshape(input, [-1, input.shape[input.rank - 1]!]) as tf.Tensor2D;
      const flat = tf.softmax(matMul(rows, this.kernel.read())) as tf.Tensor2D;
      const tokens = rows.shape[0];
      const share = this.config.capacity / this.experts;
      const mask = context?.mask;
      const kept = keepMasked(flat, (p) => {
        const byExpert = tf.transpose(p) as tf.Tensor2D;
        if (mask !== undefined) return tf.transpose(realMask(byExpert, tf.reshape(mask, [-1]), share));
        const each = Math.min(Math.max(Math.round(share * tokens), 1), tokens);
        return tf.transpose(topKMask(byExpert, each));
      });
      const shape = [...input.shape.slice(0, -1), this.experts];
      return {gates: tf.reshape(kept, shape), probabilities: tf.reshape(flat, shape)};
    });
  }

  getConfig(): ExpertChoiceRouterConfig {
    return {...this.config};
  }
}

/**
 * The 0/1 mask of the round(share · n) largest real entries, at least one, of each row of `p` [experts,
 * tokens]; n is the number of real tokens. It stays on the device: n is known only from the values of the
 * mask.
 */
function realMask(p: tf.Tensor2D, mask: tf.Tensor, share: number): tf.Tensor2D {
  const [experts, tokens] = p.shape;
  const real = tf.sum(mask);
  const each = tf.minimum(tf.maximum(tf.floor(tf.add(tf.mul(real, share), 0.5)), 1), real);
  const {indices} = tf.topk(tf.mul(p, mask), tokens, true);
  const flat = tf.add(
    indices,
    tf.mul(tf.reshape(tf.range(0, experts, 1, 'int32'), [-1, 1]), tf.scalar(tokens, 'int32')),
  );
  const chosen = tf.cast(tf.less(tf.range(0, tokens), each), 'float32');
  const values = tf.mul(tf.ones([experts, 1]), chosen);
  const scattered = tf.scatterND(tf.reshape(flat, [-1, 1]) as tf.Tensor2D, tf.reshape(values, [-1]), [
    experts * tokens,
  ]);
  return tf.mul(tf.reshape(scattered, [experts, tokens]), mask);
}

defineRouter({
  type: 'expert-choice',
  summary: 'each expert chooses its tokens, from the whole batch',
  options: OPTIONS,
  examples: [{type: 'expert-choice'}, {type: 'expert-choice', capacity: 1}],
  create: (config) => new ExpertChoiceRouter(config),
});

declare module '../router.js' {
  interface RouterConfigs {
    'expert-choice': ExpertChoiceRouterConfig;
  }
}
