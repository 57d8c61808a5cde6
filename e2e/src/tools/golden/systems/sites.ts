import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type AdapterConfig, PeftDense} from '@tfjs-peft/layers';
import {createRouter, type RouterConfig, type RouterContext} from '@tfjs-peft/routers';
import {type Golden, type GoldenCase, NotExpressible, tensorOf} from '../format.js';

const ADAPTER = 'golden';
/** What the data call the weights, and what the layers do. */
const WEIGHTS = {A: 'lora_A', B: 'lora_B', router: 'router', scaling: 'scaling'};
const NAMES = Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[];

function routerConfig({config}: GoldenCase): RouterConfig & {type: 'softmax'; experts: number} {
  return {
    type: 'softmax',
    experts: config.experts as number,
    temperature: (config.temperature as number | null) ?? 1,
    ...(config.topK == null ? {} : {topK: config.topK as number}),
    ...(config.renormalize ? {renormalize: true} : {}),
    ...(config.jitter ? {jitter: config.jitter as number} : {}),
  };
}

/** Only keys and values are routed head by head. */
function headsOf({config}: GoldenCase): number {
  return config.site === 'kv' || config.site === 'attention-block' ? (config.heads as number) : 1;
}

function adapterConfig(golden: GoldenCase): AdapterConfig {
  const {rank, alpha, experts} = golden.config as {rank: number; alpha: number; experts: number};
  switch (golden.system) {
    case 'lora':
      return {type: 'lora', rank, alpha};
    case 'ia3':
      return {type: 'ia3'};
    case 'mov':
      return {
        type: 'mov',
        experts,
        router: routerConfig(golden),
        ...(golden.form === 'paper' ? {} : {form: 'code', heads: headsOf(golden)}),
      };
    case 'molora':
      return {type: 'molora', experts, rank, alpha, router: routerConfig(golden)};
    default:
      throw new NotExpressible(`adapter ${golden.system}`);
  }
}

/**
 * The data keep experts apart, A as [E, in, r], and heads, as [h, E, width];
 * the layers keep both side by side.
 */
function inLayerForm(name: string, {shape, data}: Golden): Golden {
  if (shape.length !== 3 || (name !== 'A' && name !== 'scaling')) return {shape, data};
  const [first, rows, width] = shape as [number, number, number];
  const moved = new Float32Array(data.length);
  for (let k = 0; k < first; k++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < width; j++) moved[(i * first + k) * width + j] = data[(k * rows + i) * width + j]!;
    }
  }
  return {shape: [rows, first * width], data: moved};
}

export interface SiteOptions {
  /** Where the site's adapter stands among the tensors: '' or 'key.'. */
  prefix?: string;
  /** Default `<kernel>_bias`, where the case has one. */
  bias?: string;
  /** A tfjs-layers activation. Default linear. */
  activation?: string;
}

/**
 * One adapted (or plain) projection of a case: a PeftDense over a Dense that holds the case's frozen kernel.
 */
export class GoldenSite {
  readonly layer: PeftDense;
  /**
   * The trained weights by the name that their gradient has in the case, and
   * that gradient in the layer's form.
   */
  readonly trained: {name: string; variable: tf.Variable; want: Golden}[] = [];
  readonly adapted: boolean;
  private readonly prefix: string;

  constructor(
    private readonly golden: GoldenCase,
    private readonly tensors: Map<string, Golden>,
    kernelName: string | {identity: number},
    {prefix = '', bias = `${String(kernelName)}_bias`, activation = 'linear'}: SiteOptions = {},
  ) {
    this.prefix = prefix;
    const kernel =
      typeof kernelName === 'string'
        ? tensorOf(tensors, `param.${kernelName}`)
        : identityOf(kernelName.identity);
    const biases = tensors.get(`param.${bias}`);
    const dense = tfl.layers.dense({
      units: kernel.shape[1]!,
      useBias: biases !== undefined,
      activation: activation as 'linear',
    });
    dense.build([null, kernel.shape[0]!]);
    tf.tidy(() => {
      dense.setWeights([kernel, ...(biases ? [biases] : [])].map(({data, shape}) => tf.tensor(data, shape)));
    });
    this.layer = PeftDense.fromDense(dense);
    this.adapted = NAMES.some((weight) => tensors.has(`param.${prefix}${weight}`));
    if (this.adapted) this.adapt();
    this.layer.context = () => this.context();
  }

  /** The data hold jitter as factors, from 1 - width to 1 + width; a router asks for numbers from 0 to 1. */
  private context(): RouterContext | undefined {
    const jitter = this.tensors.get('in.jitter');
    const width = this.golden.config.jitter as number;
    if (!jitter || !width) return undefined;
    const factors = tf.tensor(jitter.data, jitter.shape);
    return {noise: () => tf.div(tf.sub(factors, 1 - width), 2 * width)};
  }

  private adapt(): void {
    this.layer.addAdapter(ADAPTER, adapterConfig(this.golden), 1);
    this.layer.activate(ADAPTER);
    const pending = new Set(NAMES.filter((weight) => this.tensors.has(`param.${this.prefix}${weight}`)));
    for (const [layerName, variable] of this.layer.adapterWeights(ADAPTER)) {
      const name = NAMES.find((weight) => WEIGHTS[weight] === layerName);
      if (!name || !pending.delete(name))
        throw new Error(`the case has no value for the layer's weight ${layerName}`);
      const {data} = inLayerForm(name, tensorOf(this.tensors, `param.${this.prefix}${name}`));
      tf.tidy(() => {
        variable.write(tf.tensor(data, variable.shape as number[]));
      });
      const gradient = `grad.${this.prefix}${name}`;
      const want = inLayerForm(name, tensorOf(this.tensors, gradient));
      this.trained.push({name: gradient, variable: variable.read() as tf.Variable, want});
    }
    if (pending.size > 0)
      throw new NotExpressible(`weights ${[...pending].join(', ')} of ${this.golden.system}`);
  }

  apply(x: tf.Tensor): tf.Tensor {
    return this.layer.apply(x, {training: true}) as tf.Tensor;
  }

  /** The stock layer's output, with the adapter switched off. */
  applyBase(x: tf.Tensor): tf.Tensor {
    this.layer.activate(null);
    try {
      return this.apply(x);
    } finally {
      if (this.adapted) this.layer.activate(ADAPTER);
    }
  }

  /**
   * Gates and probabilities that this site's router gives for an input, under the names that the case uses.
   */
  route(x: tf.Tensor): Record<string, tf.Tensor> {
    const kernel = this.tensors.get(`param.${this.prefix}router`);
    if (!kernel) return {};
    const router = createRouter(routerConfig(this.golden));
    router.build(kernel.shape[0]!, () => ({read: () => tf.tensor(kernel.data, kernel.shape)}));
    const input =
      this.golden.form === 'paper' || this.golden.system !== 'mov' ? x : this.byHead(this.applyBase(x));
    const context = this.context();
    const {gates, probabilities} = router.route({input, training: true, ...(context && {context})});
    const suffix = this.prefix ? `.${this.prefix.slice(0, -1)}` : '';
    return {[`gates${suffix}`]: gates, [`probs${suffix}`]: probabilities};
  }

  private byHead(y: tf.Tensor): tf.Tensor {
    const heads = headsOf(this.golden);
    return heads === 1 ? y : tf.reshape(y, [...y.shape.slice(0, -1), heads, -1]);
  }

  dispose(): void {
    for (const weight of this.layer.weights) weight.dispose();
  }
}

function identityOf(size: number): Golden {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + i] = 1;
  return {shape: [size, size], data};
}
