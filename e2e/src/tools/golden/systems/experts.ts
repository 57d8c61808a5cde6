import * as tf from '@tensorflow/tfjs-core';
import {type Deviations, deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import {runBalance} from './balance.js';
import {type ExpertCase, limeCase, mor1eCase} from './expert-configs.js';
import {ExpertSite, type Observed} from './expert-site.js';
import {tensorFrom} from './expert-weights.js';
import {runIntuition} from './routing.js';

type Tensors = Map<string, Golden>;
type Loss = (observed: Observed) => tf.Tensor;

async function checkForward(site: ExpertSite, x: tf.Tensor, tensors: Tensors): Promise<Worst> {
  const {outputs, losses} = tf.tidy(() => site.observe(x));
  const worst = new Worst();
  for (const [name, want] of tensors) {
    const [kind, rest] = [name.slice(0, 4), name.slice(4)];
    if (kind !== 'out.' && kind !== 'aux.') continue;
    const got = (kind === 'out.' ? outputs : losses)[rest];
    // A figure of the released code over anchors or candidates only, which has no gradient and steers
    // nothing.
    if (!got && name === 'aux.load') continue;
    if (!got) throw new Error(`nothing computed for ${name}`);
    worst.add(name, deviation(name, await got.data(), want));
  }
  tf.dispose([outputs, losses]);
  return worst;
}

async function checkGradients(
  site: ExpertSite,
  x: tf.Tensor,
  tensors: Tensors,
  {prefix, loss, worst}: {prefix: string; loss: () => tf.Tensor; worst: Worst},
): Promise<void> {
  const wanted = site.trained(prefix);
  const input = tensors.get(`${prefix}x`);
  if (input) wanted.push({name: `${prefix}x`, variable: x as tf.Variable, want: input});
  const {value, grads} = tf.variableGrads(
    () => tf.sum(loss()) as tf.Scalar,
    wanted.map(({variable}) => variable),
  );
  for (const {name, variable, want} of wanted) {
    const got = grads[variable.name];
    // tfjs leaves out what the loss does not reach.
    worst.add(name, deviation(name, got ? await got.data() : new Float32Array(want.data.length), want));
  }
  tf.dispose([value, grads]);
}

async function run(expert: ExpertCase, golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  const site = new ExpertSite(golden, tensors, expert);
  const x = site.input();
  const cotangent = tensorFrom(tensorOf(tensors, 'cot.y'));
  try {
    const forward = await checkForward(site, x, tensors);
    const grad = new Worst();
    await checkGradients(site, x, tensors, {
      prefix: 'grad.',
      loss: () => tf.mul(site.forward(x), cotangent),
      worst: grad,
    });
    const losses: Record<string, Loss> = {
      importance: ({losses}) => losses.importance!,
      kl: ({losses}) => losses.kl!,
    };
    for (const [name, loss] of Object.entries(losses)) {
      const prefix = `grad_aux.${name}.`;
      if (![...tensors.keys()].some((stored) => stored.startsWith(prefix))) continue;
      await checkGradients(site, x, tensors, {prefix, loss: () => loss(site.observe(x)), worst: grad});
    }
    return {forward, grad};
  } finally {
    tf.dispose([x, cotangent]);
    site.dispose();
  }
}

/** A case of LiME: outputs, routing, losses of usage, and all their gradients. */
export function runLime(golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  if (golden.config.layers !== undefined) return runBalance(golden, tensors);
  return run(limeCase(golden, tensors), golden, tensors);
}

/** A case of MoR1E, or of one of the plain mixtures that its code has too. */
export function runMor1e(golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  if (tensors.has('in.centroids')) return runIntuition(golden, tensors);
  return run(mor1eCase(golden, tensors), golden, tensors);
}
