import * as tf from '@tensorflow/tfjs-core';
import {input, type LayersModel, layers, model, type SymbolicTensor} from '@tensorflow/tfjs-layers';
import {
  UseAttention,
  UseL2Normalize,
  UseMaskedMean,
  UsePaddingBias,
  UseTimingSignal,
  UseTokenMask,
} from './use-lite-layers.js';
import {readUseLiteWeights, type UseLiteWeights, useLiteFolder, type WeightData} from './use-lite-weights.js';

/** The last row of the embedding: no piece of the vocabulary has it. Id 0 is `<unk>`, not padding. */
export const USE_LITE_PADDING = 8001;
export const USE_LITE_WIDTH = 512;
/** The layer that says where there are tokens. */
const TOKEN_MASK = 'token_mask';
/**
 * A side network that reads the embedding with its timing signal, then what each block gives. The hidden
 * layers of its experts are most of what a training step keeps, so they are 96 wide, not 256 as by default.
 */
export const USE_LITE_SIDE = {
  taps: ['timing', 'layer_0_add2', 'layer_1_add2'],
  mask: TOKEN_MASK,
  hidden: 96,
};

type Layer = layers.Layer;

/**
 * Universal Sentence Encoder lite as a LayersModel: int32 token ids [B, L], padded with
 * {@link USE_LITE_PADDING}, to sentence vectors [B, 512] of length 1. Stock Embedding, Dense,
 * LayerNormalization and Add layers hold all weights.
 *
 * @param from the folder where the shipped model.json and its shards lie, or what is read from there.
 */
export function buildUseLite(from: string | UseLiteWeights = useLiteFolder()): LayersModel {
  const weights = typeof from === 'string' ? readUseLiteWeights(from) : from;
  const pending: [Layer, WeightData[]][] = [];
  const withWeights = (layer: Layer, ...data: WeightData[]): Layer => {
    pending.push([layer, data]);
    return layer;
  };
  const apply = (layer: Layer, ...inputs: SymbolicTensor[]) =>
    layer.apply(inputs.length === 1 ? inputs[0]! : inputs) as SymbolicTensor;
  const dense = (
    name: string,
    {kernel, bias}: {kernel: WeightData; bias: WeightData},
    activation: 'linear' | 'relu' | 'tanh' = 'linear',
  ) => withWeights(layers.dense({name, units: kernel.shape[1]!, activation}), kernel, bias);
  const norm = (name: string, {gamma, beta}: {gamma: WeightData; beta: WeightData}) =>
    withWeights(layers.layerNormalization({name, epsilon: 1e-6}), gamma, beta);

  const ids = input({shape: [null], dtype: 'int32', name: 'ids'});
  const [rows, columns] = weights.embedding.shape as [number, number];
  const embedding = layers.embedding({name: 'embedding', inputDim: rows, outputDim: columns});
  const mask = apply(new UseTokenMask({name: TOKEN_MASK, padding: USE_LITE_PADDING}), ids);
  const bias = apply(new UsePaddingBias({name: 'padding_bias'}), mask);
  let x = apply(new UseTimingSignal({name: 'timing'}), apply(withWeights(embedding, weights.embedding), ids));
  weights.layers.forEach((layer, index) => {
    const name = (part: string) => `layer_${index}_${part}`;
    const qkv = apply(dense(name('qkv'), layer.qkv), apply(norm(name('norm1'), layer.norm1), x));
    const attention = apply(new UseAttention({name: name('attention'), heads: 4}), qkv, bias);
    const attended = apply(dense(name('attention_out'), layer.attentionOut), attention);
    const skip = layer.residual === undefined ? x : apply(dense(name('residual'), layer.residual), x);
    x = apply(layers.add({name: name('add1')}), attended, skip);
    const hidden = apply(
      dense(name('ffn1'), layer.feedForward1, 'relu'),
      apply(norm(name('norm2'), layer.norm2), x),
    );
    x = apply(layers.add({name: name('add2')}), apply(dense(name('ffn2'), layer.feedForward2), hidden), x);
  });
  const pooled = apply(new UseMaskedMean({name: 'pool'}), x, bias);
  const vector = apply(
    new UseL2Normalize({name: 'normalize'}),
    apply(dense('tanh_layer', weights.head, 'tanh'), pooled),
  );
  const encoder = model({inputs: ids, outputs: vector, name: 'use_lite'});
  for (const [layer, data] of pending) {
    const tensors = data.map(({data, shape}) => tf.tensor(data, shape));
    layer.setWeights(tensors);
    tf.dispose(tensors);
  }
  return encoder;
}
