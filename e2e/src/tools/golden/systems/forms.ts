import * as tf from '@tensorflow/tfjs-core';
import {type Golden, type GoldenCase, NotExpressible} from '../format.js';
import {GoldenSite} from './sites.js';

/** What a case computes from its inputs: `y`, and when observed whatever else the data hold under `out.`. */
export interface Form {
  sites: GoldenSite[];
  forward(inputs: {x: tf.Tensor; kv: tf.Tensor}, observe?: Record<string, tf.Tensor>): tf.Tensor;
}

type Build = (golden: GoldenCase, tensors: Map<string, Golden>) => Form;

const denseSite: Build = (golden, tensors) => {
  const site = new GoldenSite(golden, tensors, 'base');
  return {
    sites: [site],
    forward({x}, observe) {
      const y = site.apply(x);
      if (observe) Object.assign(observe, site.route(x), {delta: tf.sub(y, site.applyBase(x))});
      return y;
    },
  };
};

/**
 * An MLP block, with or without a gate. MoLoRA has adapters on the first branch before its activation, and on
 * the output; MoV and (IA)³ rescale the first branch after its activation. The gate is plain.
 */
const mlpBlock: Build = (golden, tensors) => {
  const {activation: only, activations = [only]} = golden.config as {
    activation?: string;
    activations?: (string | undefined)[];
  };
  const {gated = activations.length > 1} = golden.config as {gated?: boolean};
  const [activation, gate = 'linear'] = activations.map((name = 'linear') => activationOf(name, golden));
  const scales = golden.system === 'mov' || golden.system === 'ia3';
  const name = tensors.has('param.wi_0') ? 'wi_0' : 'wi';
  const first = new GoldenSite(golden, tensors, name, {
    ...(!scales && {prefix: `${name}.`}),
    ...(activation && {activation}),
  });
  const second = gated
    ? new GoldenSite(golden, tensors, 'wi_1', {prefix: 'wi_1.', activation: gate})
    : undefined;
  const output = new GoldenSite(golden, tensors, 'wo', {prefix: 'wo.'});
  return {
    sites: [first, ...(second ? [second] : []), output],
    forward({x}, observe) {
      const branch = first.apply(x);
      const hidden = second ? tf.mul(branch, second.apply(x)) : branch;
      if (observe) Object.assign(observe, first.route(x), output.route(hidden), {hidden});
      return output.apply(hidden);
    },
  };
};

/**
 * The vector that is rescaled is the case's input itself: it goes through a projection that is the identity.
 */
const scaledVector: Build = (golden, tensors) => {
  const {heads, headDim, dim} = golden.config as {heads?: number; headDim?: number; dim?: number};
  const width = golden.config.site === 'kv' ? heads! * headDim! : dim!;
  const site = new GoldenSite(golden, tensors, {identity: width});
  return {
    sites: [site],
    forward({x}, observe) {
      const flat = tf.reshape(x, [x.shape[0]!, x.shape[1]!, width]);
      if (observe) Object.assign(observe, site.route(flat));
      return tf.reshape(site.apply(flat), x.shape);
    },
  };
};

const attentionBlock: Build = (golden, tensors) => {
  const [query, key, value, out] = ['query', 'key', 'value', 'out'].map(
    (name) => new GoldenSite(golden, tensors, name, {prefix: `${name}.`}),
  ) as [GoldenSite, GoldenSite, GoldenSite, GoldenSite];
  const {
    heads,
    headDim,
    logitScale = 1,
  } = golden.config as {heads: number; headDim: number; logitScale?: number};
  const input = (name: string) => {
    const stored = tensors.get(`in.${name}`);
    return stored && tf.tensor(stored.data, stored.shape);
  };
  const split = (projected: tf.Tensor) =>
    tf.transpose(
      tf.reshape(projected, [projected.shape[0]!, projected.shape[1]!, heads, headDim]),
      [0, 2, 1, 3],
    );
  return {
    sites: [query, key, value, out],
    forward({x, kv}, observe) {
      let logits = tf.mul(tf.matMul(split(query.apply(x)), split(key.apply(kv)), false, true), logitScale);
      const [bias, mask] = [input('bias'), input('mask')];
      if (bias) logits = tf.add(logits, bias);
      if (mask) logits = tf.add(logits, tf.mul(tf.sub(1, mask), -1e10));
      const heard = tf.transpose(tf.matMul(tf.softmax(logits), split(value.apply(kv))), [0, 2, 1, 3]);
      const joined = tf.reshape(heard, [x.shape[0]!, x.shape[1]!, heads * headDim]);
      if (observe) Object.assign(observe, query.route(x), key.route(kv), value.route(kv), out.route(joined));
      return out.apply(joined);
    },
  };
};

/** MoV after the paper: the router reads the layer's input; keys and values are one scaled projection. */
const paperKeysValues: Build = (golden, tensors) => {
  const activation = activationOf(golden.config.activation as string, golden);
  const site = new GoldenSite(golden, tensors, 'base', {activation});
  return {
    sites: [site],
    forward({x}, observe) {
      if (observe) Object.assign(observe, site.route(x));
      return site.apply(x);
    },
  };
};

/** The data call the tanh approximation of gelu, which is what T5 uses, just gelu; and swish silu. */
function activationOf(name: string, {config}: GoldenCase): string {
  if (name === 'gelu' && config.gelu === 'tanh approximation') return 'gelu_new';
  return name === 'silu' ? 'swish' : name;
}

export function formOf(golden: GoldenCase, tensors: Map<string, Golden>): Form {
  const {site} = golden.config as {site?: string};
  if (golden.form === 'paper' && site === 'kv') return paperKeysValues(golden, tensors);
  // The paper's feed-forward is a block; the released code's, the vector that is rescaled.
  if (golden.form === 'paper' && site === 'ffn') return mlpBlock(golden, tensors);
  if (site === 'kv' || site === 'ffn') return scaledVector(golden, tensors);
  if (site === 'dense') return denseSite(golden, tensors);
  if (site === 'mlp-block') return mlpBlock(golden, tensors);
  if (site === 'attention-block') return attentionBlock(golden, tensors);
  throw new NotExpressible(
    `site ${site ?? 'unnamed'} of ${golden.system}${golden.form ? ` in the form of the ${golden.form}` : ''}`,
  );
}
