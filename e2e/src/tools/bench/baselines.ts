import * as tf from '@tensorflow/tfjs-core';
import {combine, project} from '@tfjs-peft/kernels';
import {createRouter} from '@tfjs-peft/routers';

/** A frozen projection and an adapter's weights, all in the layers' own form. */
export interface Composed {
  kernel: tf.Tensor2D;
  bias: tf.Tensor1D;
  weights: Record<string, tf.Tensor>;
  /** One row of scores for the whole batch, [1, experts], where the adapter mixes some in. */
  scores?: tf.Tensor2D;
  /** Default linear. */
  activation?: 'linear' | 'relu' | 'tanh';
}

/** An adapted projection of x [n, dIn], composed from stock ops; `training` is true under a gradient tape. */
export type Baseline = (x: tf.Tensor2D, site: Composed, training: boolean) => tf.Tensor2D;

function activated(z: tf.Tensor2D, {activation}: Composed): tf.Tensor2D {
  if (activation === 'relu') return tf.relu(z);
  return activation === 'tanh' ? tf.tanh(z) : z;
}

/**
 * x W + b as a careful user of stock tfjs writes it: the fused product where no gradient is asked
 * for, and the plain one where it is, since the gradient of the fused op always computes the
 * product for the frozen kernel too.
 */
function product(x: tf.Tensor2D, {kernel, bias}: Composed, training: boolean): tf.Tensor2D {
  if (training) return tf.add(tf.matMul(x, kernel), bias);
  return tf.fused.matMul({a: x, b: kernel, bias}) as tf.Tensor2D;
}

/** The projection without an adapter. */
export const plain: Baseline = (x, site, training) => {
  if (training || site.activation !== 'relu') return activated(product(x, site, training), site);
  return tf.fused.matMul({a: x, b: site.kernel, bias: site.bias, activation: 'relu'}) as tf.Tensor2D;
};

export const lora =
  (rank: number, alpha: number): Baseline =>
  (x, site, training) => {
    const {lora_A: a, lora_B: b} = site.weights as Record<string, tf.Tensor2D>;
    const delta = tf.mul(tf.matMul(tf.matMul(x, a!), b!), alpha / rank);
    return activated(tf.add(product(x, site, training), delta), site);
  };

export const ia3: Baseline = (x, site, training) => tf.mul(plain(x, site, training), site.weights.scaling!);

const gatesOf = (x: tf.Tensor2D, {weights}: Composed) =>
  tf.softmax(tf.matMul(x, weights.router as tf.Tensor2D));

export const mov: Baseline = (x, site, training) =>
  tf.mul(plain(x, site, training), tf.matMul(gatesOf(x, site), site.weights.scaling as tf.Tensor2D));

/** All experts side by side: two products, not two per expert; the gates meet h through a reshape. */
export const molora =
  (experts: number, rank: number, alpha: number): Baseline =>
  (x, site, training) => {
    const {lora_A: a, lora_B: b} = site.weights as Record<string, tf.Tensor2D>;
    const h = tf.reshape(tf.matMul(x, a!), [x.shape[0], experts, rank]);
    const gated = tf.mul(h, tf.reshape(gatesOf(x, site), [x.shape[0], experts, 1]));
    const mixed = tf.reshape(gated, [x.shape[0], experts * rank]) as tf.Tensor2D;
    const delta = tf.mul(tf.matMul(mixed, b!), alpha / rank);
    return activated(tf.add(product(x, site, training), delta), site);
  };

/**
 * MoLoRA as it is often written, and as LiME's paper compares with: one expert after the other, each with
 * factors of its own, `lora_A_0` and so on.
 */
export const moloraLoop =
  (experts: number, rank: number, alpha: number): Baseline =>
  (x, site, training) => {
    const gates = tf.split(gatesOf(x, site), experts, 1);
    let y = product(x, site, training);
    for (let expert = 0; expert < experts; expert++) {
      const [a, b] = [site.weights[`lora_A_${expert}`], site.weights[`lora_B_${expert}`]] as tf.Tensor2D[];
      const delta = tf.matMul(tf.matMul(x, a!), b!);
      y = tf.add(y, tf.mul(delta, tf.mul(gates[expert]!, alpha / rank)));
    }
    return activated(y, site);
  };

/** MoR1E with a token gate and an intuition, both mixed by ω = sigmoid(100 omega). */
export const mor1e =
  (r1: number, r2: number): Baseline =>
  (x, site, training) => {
    const {lora_A: a, lora_B: b, router, omega, gate} = site.weights as Record<string, tf.Tensor2D>;
    const weight = tf.sigmoid(tf.mul(omega!, 100));
    const token = tf.mul(tf.softmax(tf.matMul(x, router!)), tf.mul(weight, r1 * r2));
    const scored = tf.mul(site.scores!, tf.mul(tf.sub(1, weight), 4));
    const gates = tf.mul(tf.add(token, scored), tf.sigmoid(tf.mul(gate!, 100)));
    const h = tf.reshape(tf.matMul(x, a!), [x.shape[0], 1, r1]);
    const mixed = tf.matMul(h, tf.reshape(gates, [x.shape[0], r1, r2]));
    const delta = tf.matMul(tf.reshape(mixed, [x.shape[0], r2]) as tf.Tensor2D, b!);
    return activated(tf.add(product(x, site, training), delta), site);
  };

/** 1 where p is at least theta times its row's largest; comparisons have no gradient, and this needs none. */
function reached(p: tf.Tensor, theta: number): tf.Tensor {
  return tf.customGrad((values) => ({
    value: tf.cast(
      tf.greaterEqual(values as tf.Tensor, tf.mul(tf.max(values as tf.Tensor, -1, true), theta)),
      'float32',
    ),
    gradFunc: () => tf.zerosLike(p),
  }))(p);
}

/**
 * LiME over LoRA with the paper's defaults: gamma 0.7, temperature 0.5, Auto Top-K at 0.7, per-token maxima.
 */
export const lime =
  (experts: number, rank: number, alpha: number): Baseline =>
  (x, site, training) => {
    const {lora_A: a, lora_B: b, modulators, shared_modulator: shared, gamma} = site.weights;
    const z = product(x, site, training);
    const low = tf.matMul(x, a as tf.Tensor2D);
    const d = tf.mul(tf.matMul(low, b as tf.Tensor2D), alpha / rank) as tf.Tensor2D;
    const stream = (t: tf.Tensor2D, weight: number) => {
      const head = tf.slice(t, [0, 0], [t.shape[0], experts]);
      const largest = tf.maximum(tf.max(tf.abs(head), -1, true), 1e-6);
      return tf.mul(tf.div(head, largest), weight / 0.5);
    };
    const p = tf.softmax(tf.add(stream(z, 0.3), stream(d, 0.7)));
    const kept = tf.mul(p, reached(p, 0.7));
    const gates = tf.div(kept, tf.sum(kept, -1, true)) as tf.Tensor2D;
    const modulation = tf.add(tf.matMul(gates, modulators as tf.Tensor2D), tf.mul(shared!, gamma!));
    return activated(tf.add(z, tf.mul(d, modulation)), site);
  };

/** MoLoRA with a top-k router as our own ops compute it where nothing tells them that most gates are zero. */
export const denseTopK =
  (experts: number, rank: number, alpha: number, topK: number): Baseline =>
  (x, {kernel, bias, weights, activation}, training) => {
    const {lora_A: a, lora_B: b, router: table} = weights as Record<string, tf.Tensor2D>;
    const router = createRouter({type: 'softmax', experts, topK});
    router.build(x.shape[1], () => ({read: () => table!}));
    const {gates} = router.route({input: x, training});
    const {h} = project({x, a: a!});
    const parts = {h, gates, b, scale: alpha / rank, mix: 'expert' as const};
    return combine({x, kernel, bias, activation, ...parts}) as tf.Tensor2D;
  };
