import * as tf from '@tensorflow/tfjs-core';
import {balanceLoss, createRouter, intuitionScores, sentenceEmbedding, zLoss} from '@tfjs-peft/routers';
import {type Deviations, deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';

type Tensors = Map<string, Golden>;

const tensorFrom = ({data, shape}: Golden) => tf.tensor(Float32Array.from(data), shape);

/** A case of the losses that steer a top-k router, with their gradients by its input and weights. */
export async function runRouterLosses({config}: GoldenCase, tensors: Tensors): Promise<Deviations> {
  const {experts, topK, temperature} = config as {experts: number; topK: number; temperature: number};
  const [x, kernel] = tf.tidy(() =>
    ['in.x', 'param.router'].map((name) => tf.variable(tensorFrom(tensorOf(tensors, name)))),
  ) as unknown as [tf.Variable, tf.Variable];
  const router = createRouter({type: 'softmax', experts, topK, temperature});
  router.build(kernel.shape[0]!, () => ({read: () => kernel}));
  const shape = [...x.shape.slice(0, -1), experts];
  const logitsOf = () =>
    tf.div(
      tf.reshape(tf.matMul(tf.reshape(x, [-1, kernel.shape[0]!]), kernel as tf.Tensor2D), shape),
      temperature,
    );
  const run = () => router.route({input: x, training: true});
  // The selection is a constant of the losses.
  const first = tf.tidy(() => run().gates);
  const selected = tf.tensor(
    Array.from(await first.data(), (gate) => Number(gate > 0)),
    shape,
  );
  first.dispose();
  const losses: Record<string, () => tf.Tensor> = {
    balance: () => balanceLoss(run().probabilities, selected),
    balance_masked_probs: () => balanceLoss(run().gates, selected),
    balance_nomask: () => balanceLoss(run().probabilities, tf.onesLike(selected)),
    z: () => zLoss(logitsOf()),
  };
  const [forward, grad] = [new Worst(), new Worst()];
  try {
    const outputs: Record<string, tf.Tensor> = tf.tidy(() => {
      const {probabilities} = run();
      // The data hold the mixing weights before the mask here.
      return {gates: probabilities, probs: probabilities, logits: logitsOf()};
    });
    outputs.mask = selected;
    for (const [name, want] of tensors) {
      const [kind, rest] = [name.slice(0, 4), name.slice(4)];
      if (kind === 'out.') {
        if (!outputs[rest]) throw new Error(`nothing computed for ${name}`);
        forward.add(name, deviation(name, await outputs[rest].data(), want));
      } else if (kind === 'aux.') {
        const loss = tf.tidy(losses[rest]!);
        forward.add(name, deviation(name, await loss.data(), want));
        loss.dispose();
      } else if (name.startsWith('auxgrad.')) {
        const [, loss, by] = name.split('.') as [string, string, string];
        const variable = by === 'x' ? x : kernel;
        const {value, grads} = tf.variableGrads(() => losses[loss]!() as tf.Scalar, [variable]);
        grad.add(name, deviation(name, await grads[variable.name]!.data(), want));
        tf.dispose([value, grads]);
      }
    }
    tf.dispose(outputs);
  } finally {
    tf.dispose([x, kernel, selected]);
  }
  return {forward, grad};
}

/** A case of the scores that MoR1E takes for a sample's intuition. */
export async function runIntuition(_golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  const forward = new Worst();
  const {embedding, scores} = tf.tidy(() => {
    const [tokens, mask, centroids] = ['token_embeddings', 'token_mask', 'centroids'].map((name) =>
      tensorFrom(tensorOf(tensors, `in.${name}`)),
    ) as [tf.Tensor3D, tf.Tensor2D, tf.Tensor2D];
    const embedding = sentenceEmbedding(tokens, mask);
    return {embedding, scores: intuitionScores(embedding, centroids)};
  });
  const values = await scores.data();
  forward.add(
    'out.embedding',
    deviation('out.embedding', await embedding.data(), tensorOf(tensors, 'out.embedding')),
  );
  forward.add('out.scores', deviation('out.scores', values, tensorOf(tensors, 'out.scores')));
  // The released training batches carry scores at half precision, which we do not: this is
  // their rounding, for the comparison.
  const halves = Array.from(values, halfPrecision);
  forward.add('out.intuition', deviation('out.intuition', halves, tensorOf(tensors, 'out.intuition')));
  tf.dispose([embedding, scores]);
  return {forward, grad: null};
}

/** The nearest number of 11 significant bits. */
function halfPrecision(value: number): number {
  if (value === 0) return 0;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -14) - 10);
  return Math.round(value / unit) * unit;
}
