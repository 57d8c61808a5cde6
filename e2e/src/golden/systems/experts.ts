import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {project} from '@tfjs-peft/kernels';
import {type AdapterView, createAdapter, PeftDense} from '@tfjs-peft/layers';
import {
  importanceLoss,
  meanUsage,
  type RouterContext,
  type Routing,
  usageDivergence,
} from '@tfjs-peft/routers';
import {deviation, Worst} from '../compare.js';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import type {Deviations} from '../run.js';
import {type ExpertCase, limeCase, mor1eCase} from './expert-configs.js';
import {LAYER_NAMES, tensorFrom} from './expert-weights.js';
import {runIntuition} from './routing.js';

const ADAPTER = 'golden';

type Tensors = Map<string, Golden>;
type Loss = (observed: Observed) => tf.Tensor;

/** Everything that the data hold under `out.` and `aux.`, as functions of one run of the layer's adapter. */
type Observed = {
  outputs: Record<string, tf.Tensor>;
  losses: Record<string, tf.Tensor>;
};

/** A PeftDense over the case's frozen projection, with the case's adapter and weights. */
class ExpertSite {
  readonly layer: PeftDense;
  readonly training: boolean;

  constructor(
    private readonly golden: GoldenCase,
    private readonly tensors: Tensors,
    private readonly expert: ExpertCase,
  ) {
    this.training = golden.config.training !== false;
    const [kernel, bias] = tf.tidy(() => {
      const frozen = tensors.get('param.base_weight');
      const stored = tensors.get('param.base_bias') ?? tensors.get('param.bias');
      const kernel = frozen
        ? tensorFrom(frozen)
        : tf.concat(
            ['slice_weight', 'frozen_weight'].map((name) => tensorFrom(tensorOf(tensors, `param.${name}`))),
            1,
          );
      return [kernel, stored && tensorFrom(stored)];
    }) as [tf.Tensor2D, tf.Tensor1D | undefined];
    const dense = tfl.layers.dense({units: kernel.shape[1], useBias: bias !== undefined});
    dense.build([null, kernel.shape[0]]);
    dense.setWeights(bias ? [kernel, bias] : [kernel]);
    tf.dispose([kernel, bias]);
    this.layer = PeftDense.fromDense(dense);
    this.layer.addAdapter(ADAPTER, expert.config, 1);
    this.layer.activate(ADAPTER);
    this.layer.context = () => this.context();
    this.write();
  }

  private write(): void {
    const weights = this.layer.adapterWeights(ADAPTER);
    for (const [stored, golden] of this.tensors) {
      if (!stored.startsWith('param.') || /(base|frozen)_/.test(stored)) continue;
      const name = stored.slice('param.'.length);
      const variable = weights.get(LAYER_NAMES[name] ?? '');
      if (!variable) throw new Error(`the layer has no weight for ${stored}`);
      weights.delete(LAYER_NAMES[name]!);
      const value = tensorFrom(this.expert.reform(name, golden));
      variable.write(value);
      value.dispose();
    }
    // A released slice without a bias has none to train; ours then starts at zero.
    weights.delete('bias');
    if (weights.size > 0) throw new Error(`the case has no value for ${[...weights.keys()].join(', ')}`);
  }

  private context(): RouterContext {
    const input = (name: string) => {
      const stored = this.tensors.get(`in.${name}`);
      return stored && tensorFrom(stored);
    };
    const [intuition, mask, jitter] = [input('intuition'), input('mask'), input('jitter')];
    const width = this.golden.config.jitter as number;
    // The data hold the factors, from 1 - width to 1 + width; a router asks for numbers from 0 to 1.
    const noise = jitter && (() => tf.div(tf.sub(jitter, 1 - width), 2 * width));
    return {...(intuition && {intuition}), ...(mask && {mask}), ...(noise && {noise})};
  }

  /** The trained weights by the name that their gradient has in the case. */
  trained(prefix: string): {name: string; variable: tf.Variable; want: Golden}[] {
    const weights = this.layer.adapterWeights(ADAPTER);
    return [...this.tensors].flatMap(([stored, golden]) => {
      if (!stored.startsWith(prefix) || stored === `${prefix}x`) return [];
      const name = stored.slice(prefix.length);
      const variable = weights.get(LAYER_NAMES[name] ?? '');
      if (!variable) throw new Error(`the layer has no weight for ${stored}`);
      return [
        {name: stored, variable: variable.read() as tf.Variable, want: this.expert.reform(name, golden)},
      ];
    });
  }

  forward(x: tf.Tensor): tf.Tensor {
    return this.layer.call(x, {training: this.training}) as tf.Tensor;
  }

  /** What the adapter's parts and its router say of a batch. */
  observe(x: tf.Tensor): Observed {
    const adapter = createAdapter(this.expert.config, this.layer.dims);
    const weights = this.layer.adapterWeights(ADAPTER);
    adapter.build(this.layer.dims, (name) => weights.get(name)!);
    const [kernel, bias] = this.layer.base.map((variable) => variable.read());
    let routing: Routing | undefined;
    const context = this.context();
    const view: AdapterView = {
      input: x,
      training: this.training,
      kernel: kernel as tf.Tensor2D,
      ...(bias && {bias: bias as tf.Tensor1D}),
      context,
      project: (request) => project({x, ...request, ...(request.columns && {kernel: kernel as tf.Tensor2D})}),
      observe: (made) => {
        routing = made;
      },
    };
    const parts = adapter.parts(view);
    const y = this.forward(x);
    this.layer.activate(null);
    const z = this.forward(x);
    this.layer.activate(ADAPTER);
    return this.expert.config.type === 'lime'
      ? this.observeLime(y, z, parts, routing!, context.mask)
      : this.observeMor1e(y, z, parts.gates, routing);
  }

  private observeLime(
    y: tf.Tensor,
    z: tf.Tensor,
    {alpha, h, b, scale}: ReturnType<ReturnType<typeof createAdapter>['parts']>,
    {gates, probabilities, selected = tf.cast(tf.notEqual(gates, 0), 'float32')}: Routing,
    mask: tf.Tensor | undefined,
  ): Observed {
    const factor = (alpha as tf.Tensor1D | undefined) ?? tf.scalar(1);
    const rows = tf.reshape(h!, [-1, h!.shape.at(-1)!]) as tf.Tensor2D;
    const delta = tf.mul(tf.mul(tf.reshape(tf.matMul(rows, b!), z.shape), scale!), factor);
    const usage = meanUsage(probabilities, this.training ? mask : undefined);
    const losses: Record<string, tf.Tensor> = {
      importance: importanceLoss(usage),
      kl: usageDivergence(usage),
    };
    const {n_gram_applied: windows, topk_mode: mode} = this.golden.config;
    if (!windows && mode !== 'auto_hard_capped') {
      const share = meanUsage(selected);
      losses.load = importanceLoss(tf.div(share, tf.sum(share)) as tf.Tensor1D);
    }
    return {
      outputs: {y, base: tf.mul(z, factor), delta, probs: probabilities, gates, selected, usage},
      losses,
    };
  }

  private observeMor1e(
    y: tf.Tensor,
    z: tf.Tensor,
    gates: tf.Tensor | undefined,
    routing?: Routing,
  ): Observed {
    const weights = this.layer.adapterWeights(ADAPTER);
    const outputs: Record<string, tf.Tensor> = {y, delta: tf.sub(y, z)};
    if (routing) outputs.token_probs = routing.probabilities;
    if (gates) outputs.gates = gates;
    for (const [name, stored] of [
      ['omega', 'omega'],
      ['gate', 'gate'],
    ] as const) {
      const scalar = weights.get(name);
      if (scalar) outputs[stored] = tf.sigmoid(tf.mul(scalar.read(), 100));
    }
    // Ours hold the output gate already.
    if (outputs.gate) outputs.gates = tf.div(gates!, outputs.gate);
    return {outputs, losses: {}};
  }

  dispose(): void {
    for (const weight of this.layer.weights) weight.dispose();
  }
}

async function checkForward(site: ExpertSite, x: tf.Tensor, tensors: Tensors): Promise<Worst> {
  const {outputs, losses} = tf.tidy(() => site.observe(x));
  const worst = new Worst();
  for (const [name, want] of tensors) {
    const [kind, rest] = [name.slice(0, 4), name.slice(4)];
    if (kind !== 'out.' && kind !== 'aux.') continue;
    const got = (kind === 'out.' ? outputs : losses)[rest];
    // A figure of the released code over anchors or candidates only, which has no gradient and steers nothing.
    if (!got && name === 'aux.load') continue;
    if (!got) throw new Error(`nothing computed for ${name}`);
    worst.add(name, deviation(name, await got.data(), want));
  }
  tf.dispose([outputs, losses]);
  return worst;
}

async function checkGradients(
  site: ExpertSite,
  x: tf.Variable,
  tensors: Tensors,
  {prefix, loss, worst}: {prefix: string; loss: () => tf.Tensor; worst: Worst},
): Promise<void> {
  const wanted = site.trained(prefix);
  const input = tensors.get(`${prefix}x`);
  if (input) wanted.push({name: `${prefix}x`, variable: x, want: input});
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
  const x = tf.tidy(() => tf.variable(tensorFrom(tensorOf(tensors, 'in.x'))));
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

/** A case of LiME over a Dense layer: outputs, routing, losses of usage, and all their gradients. */
export function runLime(golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  return run(limeCase(golden), golden, tensors);
}

/** A case of MoR1E, or of one of the plain mixtures that its code has too. */
export function runMor1e(golden: GoldenCase, tensors: Tensors): Promise<Deviations> {
  if (tensors.has('in.centroids')) return runIntuition(golden, tensors);
  return run(mor1eCase(golden), golden, tensors);
}
