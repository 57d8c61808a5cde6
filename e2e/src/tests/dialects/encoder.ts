import type {io} from '@tensorflow/tfjs-core';
import {type Attend, hfAttention, keras3Attention, tfKerasAttention} from './attention.js';
import {type EncoderSize, encoderWeights, SMALL} from './encoder-weights.js';
import {GraphWriter} from './graph-writer.js';
import {attentionMask, clsPooling, embeddings, type Gelu, gelu, layerNorm, meanPooling} from './parts.js';
import {batched, fused, keras3Dense, type Project, tensordot} from './projections.js';
import type {Quantization} from './quantize.js';

/** How the projections of an encoder are written. */
export const DIALECTS = ['tensordot', 'fused', 'batched', 'einsum', 'keras3'] as const;
export type Dialect = (typeof DIALECTS)[number];

export interface EncoderOptions {
  dialect: Dialect;
  /** Default: {@link SMALL}. */
  size?: EncoderSize;
  /** Of the weights. Default 1. */
  seed?: number;
  /** Default 'erf'. */
  gelu?: Gelu;
  /** Default 'mean'. */
  pooling?: 'mean' | 'cls';
  /** What is added to the scores of padding. Default -10000; newer models take the lowest float. */
  masked?: number;
  /** Default: float32. */
  quantization?: Quantization;
}

const WRITERS: Record<Dialect, {project: Project; attend: Attend}> = {
  tensordot: {project: tensordot, attend: hfAttention(tensordot)},
  fused: {project: fused, attend: hfAttention(fused)},
  batched: {project: batched, attend: hfAttention(batched)},
  einsum: {project: tensordot, attend: tfKerasAttention},
  keras3: {project: keras3Dense, attend: keras3Attention},
};

/**
 * A BERT-style encoder (Devlin et al. 2019) as the artifacts of a GraphModel, the way the converter
 * writes it from Python code of the dialect. Inputs `input_ids`, `attention_mask` and
 * `token_type_ids`, int32 [B, T]; outputs `last_hidden_state` [B, T, hidden] and `pooled` [B, hidden].
 * One seed is one function in every dialect.
 */
export function writeEncoder(options: EncoderOptions): io.ModelArtifacts {
  const {dialect, size = SMALL, seed = 1, pooling = 'mean', masked = -10000} = options;
  const {project, attend} = WRITERS[dialect];
  const weights = encoderWeights(size, seed);
  const graph = new GraphWriter();
  const bert = 'StatefulPartitionedCall/tf_bert_model/bert';

  const ids = graph.placeholder('input_ids', [-1, -1], 'DT_INT32');
  const mask = graph.placeholder('attention_mask', [-1, -1], 'DT_INT32');
  const types = graph.placeholder('token_type_ids', [-1, -1], 'DT_INT32');
  const additive = attentionMask(graph, bert, mask, masked);
  let x = embeddings(graph, `${bert}/embeddings`, ids, types, weights);
  weights.layers.forEach((layer, i) => {
    const name = `${bert}/encoder/layer_._${i}`;
    const attended = attend({graph, name: `${name}/attention`, x, mask: additive, weights: layer, size});
    const sum = graph.node(`${name}/attention/output/add`, 'AddV2', [attended, x]);
    x = layerNorm(graph, `${name}/attention/output/LayerNorm`, sum, layer.attentionNorm);
    const wide = project(graph, `${name}/intermediate/dense`, x, layer.intermediate);
    const active = gelu(graph, `${name}/intermediate/Gelu`, wide, options.gelu ?? 'erf');
    const narrow = project(graph, `${name}/output/dense`, active, layer.output);
    const total = graph.node(`${name}/output/add`, 'AddV2', [narrow, x]);
    x = layerNorm(graph, `${name}/output/LayerNorm`, total, layer.outputNorm);
  });
  graph.output('last_hidden_state', x, [-1, -1, size.hidden]);
  const pooled =
    pooling === 'mean'
      ? meanPooling(graph, 'StatefulPartitionedCall/pooling', x, mask)
      : clsPooling(graph, `${bert}/pooler`, x, weights);
  graph.output('pooled', pooled, [-1, size.hidden]);
  return graph.artifacts(options.quantization);
}
