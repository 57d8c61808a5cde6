import {UnsupportedModelError} from '../log.js';
import {type LayerConfig, type LayerRule, nameOf} from './config.js';

interface ClassKeywords {
  /** Keras's keyword to the one that tfjs reads. */
  rename?: Record<string, string>;
  /** Keywords that have no effect but that tfjs rejects. */
  drop?: string[];
  /** Keywords that tfjs ignores, with the values that it computes; any other would be silently wrong. */
  only?: Record<string, readonly unknown[]>;
}

const GROUPS: ClassKeywords = {only: {groups: [1]}};

const CLASSES: Record<string, ClassKeywords> = {
  LeakyReLU: {rename: {negative_slope: 'alpha'}},
  ReLU: {only: {negative_slope: [0], threshold: [0]}},
  Conv1D: GROUPS,
  Conv2D: GROUPS,
  Conv3D: GROUPS,
  Conv2DTranspose: {only: {output_padding: [null]}},
  SeparableConv2D: {drop: ['kernel_initializer', 'kernel_regularizer', 'kernel_constraint'], ...GROUPS},
  BatchNormalization: {only: {renorm: [false]}},
  LayerNormalization: {only: {rms_scaling: [false]}},
  GlobalAveragePooling1D: {only: {keepdims: [false]}},
  GlobalAveragePooling2D: {only: {keepdims: [false]}},
  GlobalMaxPooling1D: {only: {keepdims: [false]}},
  GlobalMaxPooling2D: {only: {keepdims: [false]}},
  Embedding: {only: {lora_rank: [null]}},
};

/** Keywords of single classes that tfjs reads otherwise, refuses, or ignores. */
export const keywords: LayerRule = (layer, log) => {
  const {rename = {}, drop = [], only = {}} = CLASSES[layer.class_name] ?? {};
  const {config} = layer;
  for (const [from, to] of Object.entries(rename)) {
    if (config[from] === undefined) continue;
    config[to] ??= config[from];
    delete config[from];
    log('keyword', nameOf(layer), `${layer.class_name}'s ${from} becomes ${to}.`);
  }
  for (const key of drop) {
    if (!(key in config)) continue;
    delete config[key];
    log(
      'keyword',
      nameOf(layer),
      `${key} has no effect in ${layer.class_name} and is removed, because tfjs rejects it.`,
    );
  }
  for (const [key, values] of Object.entries(only)) {
    const value = config[key] ?? values[0]!;
    if (!values.includes(value)) throw unsupported(layer, key, value);
  }
};

function unsupported(layer: LayerConfig, key: string, value: unknown): UnsupportedModelError {
  return new UnsupportedModelError(
    `Layer '${nameOf(layer)}' (${layer.class_name}) has ${key} ${JSON.stringify(value)}, which ` +
      'tfjs would ignore. Convert the model to a GraphModel (--output_format=tfjs_graph_model), ' +
      'which normalizeArtifacts and upgrade also accept.',
  );
}
