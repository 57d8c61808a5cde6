import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {combine} from '@tfjs-peft/kernels';
import {type AdapterConfig, PeftDense} from '@tfjs-peft/layers';
import * as baselines from '../baselines.js';

export interface LayerCase {
  adapter?: AdapterConfig;
  baseline: baselines.Baseline;
  /** So many scores come with the batch, as MoR1E's intuition. */
  scores?: number;
  /** Train the base as well. */
  full?: boolean;
  /** The baseline runs on our kernels too. */
  sameKernels?: boolean;
}

export const LAYER_CASES: Record<string, LayerCase> = {
  none: {baseline: baselines.plain},
  'lora-r8': {adapter: {type: 'lora', rank: 8, alpha: 16}, baseline: baselines.lora(8, 16)},
  ia3: {adapter: {type: 'ia3'}, baseline: baselines.ia3},
  'molora-8x4': {
    adapter: {type: 'molora', experts: 8, rank: 4, alpha: 16},
    baseline: baselines.molora(8, 4, 16),
  },
  'mov-8': {adapter: {type: 'mov', experts: 8}, baseline: baselines.mov},
  'mor1e-4x8': {adapter: {type: 'mor1e', r1: 4, r2: 8}, baseline: baselines.mor1e(4, 8), scores: 32},
  'lime-4x2': {
    adapter: {type: 'lime', experts: 4, over: {type: 'lora', rank: 2, alpha: 16}},
    baseline: baselines.lime(4, 2, 16),
  },
  'molora-64x16-top2': {
    adapter: {type: 'molora', experts: 64, rank: 16, alpha: 16, router: {type: 'softmax', topK: 2}},
    baseline: baselines.denseTopK(64, 16, 16, 2),
    sameKernels: true,
  },
  full: {baseline: baselines.plain, full: true},
};

export type Forward = (x: tf.Tensor2D, training: boolean) => tf.Tensor;

/** Both sides of a case on the same numbers, each with variables of its own. */
export interface Sides {
  site: {kernel: tf.Tensor2D; bias: tf.Tensor1D};
  forward: {ours: Forward; baseline: Forward};
  trained: {ours: tf.Variable[]; baseline: tf.Variable[]};
  /** The adapter's initial values, by the names that it gives its weights. */
  weights: Record<string, tf.Tensor>;
  dispose(): void;
}

function variable(shape: number[], deviation: number, seed: number, mean = 0): tf.Variable {
  return tf.tidy(() => tf.variable(tf.randomNormal(shape, mean, deviation, 'float32', seed)));
}

function copyOf(value: tf.Tensor): tf.Variable {
  return tf.tidy(() => tf.variable(value));
}

function adaptedLayer(kernel: tf.Tensor, bias: tf.Tensor, adapter: AdapterConfig): PeftDense {
  const [width, units] = kernel.shape as [number, number];
  const dense = tfl.layers.dense({units});
  dense.build([null, width]);
  dense.setWeights([kernel, bias]);
  const layer = PeftDense.fromDense(dense);
  layer.addAdapter('bench', adapter, 1);
  layer.activate('bench');
  return layer;
}

/** Both sides of a case over a Dense of `width` inputs and units. */
export function sidesOf({adapter, baseline, full, scores: count}: LayerCase, width: number): Sides {
  const [kernel, bias] = [variable([width, width], width ** -0.5, 1), variable([width], 0.1, 2)] as [
    tf.Variable,
    tf.Variable,
  ];
  const site = {kernel: kernel as tf.Tensor2D, bias: bias as tf.Tensor1D};
  if (!adapter) {
    const own = full ? {kernel: copyOf(kernel) as tf.Tensor2D, bias: copyOf(bias) as tf.Tensor1D} : site;
    return {
      site,
      forward: {
        ours: (x) => combine({x, ...own}),
        baseline: (x, training) => baseline(x, {...site, weights: {}}, training),
      },
      trained: full
        ? {ours: [own.kernel, own.bias] as tf.Variable[], baseline: [kernel, bias]}
        : {ours: [], baseline: []},
      weights: {},
      dispose: () => tf.dispose([kernel, bias, own.kernel, own.bias]),
    };
  }
  const layer = adaptedLayer(kernel, bias, adapter);
  const scores =
    count === undefined
      ? undefined
      : tf.tidy(() => tf.softmax(tf.randomNormal([1, count], 0, 1, 'float32', 9) as tf.Tensor2D));
  if (scores) layer.context = () => ({intuition: scores});
  const weights: Record<string, tf.Variable> = {};
  const ours: tf.Variable[] = [];
  let seed = 3;
  for (const [name, weight] of layer.adapterWeights('bench')) {
    // Away from the initial values, of which some are zero.
    const mean = name === 'scaling' || name === 'modulators' ? 1 : 0;
    weights[name] = variable(weight.shape as number[], 0.05, seed++, mean);
    weight.write(weights[name]);
    ours.push(weight.read() as tf.Variable);
  }
  return {
    site,
    forward: {
      ours: (x) => layer.apply(x) as tf.Tensor,
      baseline: (x, training) => baseline(x, {...site, weights, scores}, training),
    },
    trained: {ours, baseline: Object.values(weights)},
    weights,
    dispose() {
      for (const weight of layer.weights) weight.dispose();
      tf.dispose([kernel, bias, weights, scores ?? []]);
    },
  };
}
