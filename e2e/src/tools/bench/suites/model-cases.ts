import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel, layers} from '@tensorflow/tfjs-layers';
import {type AdapterConfig, adapterShapes, PeftDense, upgrade} from '@tfjs-peft/layers';
import {buildUseLite} from '../../../data/models/use-lite.js';
import type {UseLiteWeights} from '../../../data/models/use-lite-weights.js';
import * as baselines from '../baselines.js';
import type {Side} from '../step.js';

export interface ModelCase {
  adapter: AdapterConfig;
  baseline: baselines.Baseline;
}

export const MODEL_CASES: Record<string, ModelCase> = {
  'use-lite/lora': {adapter: {type: 'lora', rank: 8, alpha: 16}, baseline: baselines.lora(8, 16)},
  'use-lite/ia3': {adapter: {type: 'ia3'}, baseline: baselines.ia3},
  'use-lite/molora': {
    adapter: {type: 'molora', experts: 4, rank: 4, alpha: 16},
    baseline: baselines.molora(4, 4, 16),
  },
  'use-lite/mov': {adapter: {type: 'mov', experts: 4}, baseline: baselines.mov},
};

type Dense = layers.Layer & {
  kernel: {read(): tf.Tensor2D; shape: [number, number]};
  bias: {read(): tf.Tensor1D};
  activation: {getClassName(): string};
};

/** Runs every Dense of a stock model through a composed adapter, as those do who have no library for it. */
export function composedModel(
  {adapter, baseline}: ModelCase,
  weights?: UseLiteWeights,
): Side & {values: tf.Variable[][]} {
  const model = buildUseLite(weights);
  let recording = false;
  let seed = 1;
  const values = (model.layers as Dense[])
    .filter((layer) => layer.getClassName() === 'Dense')
    .map((dense) => {
      const [inputDim, outputDim] = dense.kernel.shape;
      const weights: Record<string, tf.Variable> = {};
      for (const {name, shape} of adapterShapes(adapter, {inputDim, outputDim})) {
        // Away from the initial values, of which some are zero.
        const mean = name === 'scaling' ? 1 : 0;
        weights[name] = tf.tidy(() => tf.variable(tf.randomNormal(shape, mean, 0.02, 'float32', seed++)));
      }
      const activation = dense.activation.getClassName() as baselines.Composed['activation'];
      dense.call = (inputs) =>
        tf.tidy(() => {
          const x = Array.isArray(inputs) ? inputs[0]! : inputs;
          const site = {kernel: dense.kernel.read(), bias: dense.bias.read(), weights, activation};
          const rows = tf.reshape(x, [-1, inputDim]) as tf.Tensor2D;
          return tf.reshape(baseline(rows, site, recording), [...x.shape.slice(0, -1), outputDim]);
        });
      return Object.values(weights);
    });
  return {
    values,
    trained: values.flat(),
    forward(ids, training) {
      recording = training;
      return model.apply(ids, {training}) as tf.Tensor;
    },
  };
}

/** The same model upgraded in place, with the values of the composed one. */
export async function upgradedModel(
  {adapter}: ModelCase,
  values: tf.Variable[][],
  useLite?: UseLiteWeights,
): Promise<Side> {
  const model: LayersModel = buildUseLite(useLite);
  const peft = await upgrade(model, {targets: 'all-dense', adapter, seed: 1});
  const sites = model.layers.filter((layer) => layer instanceof PeftDense);
  sites.forEach((site, at) => {
    const weights = [...site.adapterWeights(site.activeAdapter!).values()];
    weights.forEach((weight, i) => {
      weight.write(values[at]![i]!);
    });
  });
  return {
    trained: peft.trainableVariables(),
    forward: (ids, training) => model.apply(ids, {training}) as tf.Tensor,
  };
}
