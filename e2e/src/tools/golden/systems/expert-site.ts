import * as tf from '@tensorflow/tfjs-core';
import type {Adapter, AdapterView} from '@tfjs-peft/layers';
import {
  importanceLoss,
  meanUsage,
  type RouterContext,
  type Routing,
  usageDivergence,
} from '@tfjs-peft/routers';
import {type Golden, type GoldenCase, tensorOf} from '../format.js';
import type {ExpertCase} from './expert-configs.js';
import {type ExpertPlace, FROZEN, placeOf} from './expert-places.js';
import {LAYER_NAMES, tensorFrom} from './expert-weights.js';

const ADAPTER = 'golden';

type Tensors = Map<string, Golden>;

/** Everything that the data hold under `out.` and `aux.`, as functions of one run of the layer's adapter. */
export type Observed = {
  outputs: Record<string, tf.Tensor>;
  losses: Record<string, tf.Tensor>;
};

type Parts = ReturnType<Adapter['parts']>;

/** The case's frozen place with the case's adapter and weights. */
export class ExpertSite {
  private readonly place: ExpertPlace;
  private readonly training: boolean;
  private mask: tf.Tensor | undefined;
  private readonly held: tf.Tensor[] = [];

  constructor(
    private readonly golden: GoldenCase,
    private readonly tensors: Tensors,
    private readonly expert: ExpertCase,
  ) {
    this.training = golden.config.training !== false;
    this.place = placeOf(golden, tensors);
    const {site} = this.place;
    site.add(ADAPTER, expert.config, 1);
    site.activate(ADAPTER);
    site.context = () => this.context();
    this.write();
  }

  /** The batch of the case; floats are a variable, whose gradient can be taken. */
  input(): tf.Tensor {
    const golden = tensorOf(this.tensors, `in.${this.place.input}`);
    if (this.place.input === 'ids') return tf.tensor(golden.data, golden.shape, 'int32');
    return tf.tidy(() => tf.variable(tensorFrom(golden)));
  }

  private nameOf(stored: string): string {
    return this.expert.names?.[stored] ?? LAYER_NAMES[stored] ?? stored;
  }

  private write(): void {
    const weights = this.place.site.weightsOf(ADAPTER);
    for (const [stored, golden] of this.tensors) {
      if (!stored.startsWith('param.')) continue;
      const name = stored.slice('param.'.length);
      if (FROZEN.includes(name)) continue;
      const variable = weights.get(this.nameOf(name));
      if (!variable) throw new Error(`the layer has no weight for ${stored}`);
      weights.delete(this.nameOf(name));
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
    const [intuition, jitter] = [input('intuition'), input('jitter')];
    const mask = input('mask') ?? this.mask;
    const width = this.golden.config.jitter as number;
    const drops = this.expert.config.dropout === undefined ? undefined : input('dropout_scale');
    const noise = (shape: number[]): tf.Tensor => {
      // The adapter keeps what has numbers above its dropout.
      if (drops && tf.util.arraysEqual(drops.shape, shape)) return tf.sign(drops);
      if (jitter === undefined) throw new Error(`the case has no random numbers of shape [${shape}]`);
      // The data hold the factors, from 1 - width to 1 + width; a router asks for numbers from 0 to 1.
      return tf.div(tf.sub(jitter, 1 - width), 2 * width);
    };
    return {...(intuition && {intuition}), ...(mask && {mask}), ...((jitter || drops) && {noise})};
  }

  /** The trained weights by the name that their gradient has in the case. */
  trained(prefix: string): {name: string; variable: tf.Variable; want: Golden}[] {
    const weights = this.place.site.weightsOf(ADAPTER);
    return [...this.tensors].flatMap(([stored, golden]) => {
      if (!stored.startsWith(prefix) || stored === `${prefix}x`) return [];
      const name = stored.slice(prefix.length);
      const variable = weights.get(this.nameOf(name));
      if (!variable) throw new Error(`the layer has no weight for ${stored}`);
      return [
        {name: stored, variable: variable.read() as tf.Variable, want: this.expert.reform(name, golden)},
      ];
    });
  }

  forward(x: tf.Tensor): tf.Tensor {
    this.mask = this.place.mask?.(x);
    return this.place.forward(x, this.training);
  }

  /** What the adapter's parts and its router say of a batch. */
  observe(x: tf.Tensor): Observed {
    const {y, parts, routing} = this.recorded(x);
    if (this.expert.config.type === 'lime') return this.observeLime(x, y, parts, routing!);
    return this.observeMor1e(y, this.frozen(x), parts?.gates, routing);
  }

  /** The output, with the parts and the routing that the adapter gave for it; a prompt has no parts. */
  private recorded(x: tf.Tensor): {y: tf.Tensor; parts: Parts | null; routing: Routing | undefined} {
    this.release();
    const adapter = this.place.site.adapterOf(ADAPTER);
    let parts: Parts | null = null;
    let routing: Routing | undefined;
    const watched = (view: AdapterView): AdapterView => ({
      ...view,
      observe: (made) => {
        routing = this.kept(made);
      },
    });
    const watch: Partial<Adapter> = adapter.virtualTokens
      ? {prepend: (view) => Object.getPrototypeOf(adapter).prepend.call(adapter, watched(view))}
      : {
          parts: (view) => {
            const made = Object.getPrototypeOf(adapter).parts.call(adapter, watched(view)) as Parts;
            parts = this.kept(made);
            return made;
          },
        };
    Object.assign(adapter, watch);
    try {
      return {y: this.forward(x), parts, routing};
    } finally {
      for (const name of Object.keys(watch) as (keyof Adapter)[]) delete (adapter as Partial<Adapter>)[name];
    }
  }

  /** Copies that outlive the layer's call, until the next one is looked at. */
  private kept<T extends object>(record: T): T {
    const copies = Object.entries(record).map(([name, value]) => {
      if (!(value instanceof tf.Tensor)) return [name, value];
      const copy = tf.keep(tf.clone(value));
      this.held.push(copy);
      return [name, copy];
    });
    return Object.fromEntries(copies) as T;
  }

  private release(): void {
    tf.dispose(this.held);
    this.held.length = 0;
  }

  /** What the frozen product gets of the input. */
  private seen(x: tf.Tensor): tf.Tensor {
    const {dropout, dropsAt} = this.place.site.adapterOf(ADAPTER);
    if (!dropout || dropsAt !== 'site' || this.place.input === 'ids') return x;
    return tf.mul(x, tensorFrom(tensorOf(this.tensors, 'in.dropout_scale')));
  }

  private frozen(x: tf.Tensor): tf.Tensor {
    const {site} = this.place;
    site.activate(null);
    const z = this.forward(x);
    site.activate(ADAPTER);
    return z;
  }

  private observeLime(
    x: tf.Tensor,
    y: tf.Tensor,
    parts: Parts | null,
    {gates, probabilities, selected = tf.cast(tf.notEqual(gates, 0), 'float32')}: Routing,
  ): Observed {
    const {mask} = this.context();
    const usage = meanUsage(probabilities, this.training && parts !== null ? mask : undefined);
    const losses: Record<string, tf.Tensor> = {
      importance: importanceLoss(usage),
      kl: usageDivergence(usage),
    };
    const {n_gram_applied: windows, topk_mode: mode} = this.golden.config;
    if (!windows && mode !== 'auto_hard_capped') {
      const share = meanUsage(selected);
      losses.load = importanceLoss(tf.div(share, tf.sum(share)) as tf.Tensor1D);
    }
    const streams = parts === null ? this.promptStreams(y) : this.streams(this.frozen(this.seen(x)), parts);
    return {outputs: {y, ...streams, probs: probabilities, gates, selected, usage}, losses};
  }

  private streams(z: tf.Tensor, {alpha, h, b, scale}: Parts): Record<string, tf.Tensor> {
    const factor = (alpha as tf.Tensor1D | undefined) ?? tf.scalar(1);
    const rows = tf.reshape(h!, [-1, h!.shape.at(-1)!]) as tf.Tensor2D;
    const delta = tf.mul(tf.mul(tf.reshape(tf.matMul(rows, b!), z.shape), scale!), factor);
    return {base: tf.mul(z, factor), delta};
  }

  /** The data repeat both for every sample. */
  private promptStreams(y: tf.Tensor): Record<string, tf.Tensor> {
    const weights = this.place.site.weightsOf(ADAPTER);
    const read = (name: string) => tf.broadcastTo(tf.expandDims(weights.get(name)!.read(), 0), y.shape);
    return {base: read('prompt_base'), delta: read('prompt_delta')};
  }

  private observeMor1e(
    y: tf.Tensor,
    z: tf.Tensor,
    gates: tf.Tensor | undefined,
    routing?: Routing,
  ): Observed {
    const weights = this.place.site.weightsOf(ADAPTER);
    const outputs: Record<string, tf.Tensor> = {y, delta: tf.sub(y, z)};
    if (routing) outputs.token_probs = routing.probabilities;
    if (gates) outputs.gates = gates;
    for (const name of ['omega', 'gate']) {
      const scalar = weights.get(name);
      if (scalar) outputs[name] = tf.sigmoid(tf.mul(scalar.read(), 100));
    }
    // Ours hold the output gate already.
    if (outputs.gate) outputs.gates = tf.div(gates!, outputs.gate);
    return {outputs, losses: {}};
  }

  dispose(): void {
    this.release();
    this.place.dispose();
  }
}
