import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {mapModel} from '../core/tfjs/model-map.js';

const normal = (seed: number) => tfl.initializers.randomNormal({stddev: 0.5, seed});

/** A stock Dense whose values depend on the seed alone. */
export function dense(name: string, units: number, seed: number, more: object = {}): tfl.layers.Layer {
  return tfl.layers.dense({
    name,
    units,
    kernelInitializer: normal(seed),
    biasInitializer: normal(seed + 100),
    ...more,
  });
}

/**
 * dense_1 (relu), dense_10 (without bias), dense_100: names that are substrings of each
 * other, first and last layers included.
 */
export function sequential(): tfl.Sequential {
  return tfl.sequential({
    name: 'sequential',
    layers: [
      dense('dense_1', 6, 1, {inputShape: [4], activation: 'relu'}),
      dense('dense_10', 5, 2, {useBias: false, activation: 'tanh'}),
      dense('dense_100', 3, 3),
    ],
  });
}

/** A Dense used twice on two inputs, then a head. */
export function shared(): tfl.LayersModel {
  const left = tfl.input({shape: [4], name: 'left'});
  const right = tfl.input({shape: [4], name: 'right'});
  const tower = dense('tower', 5, 1, {activation: 'relu'});
  const both = tfl.layers
    .concatenate({name: 'both'})
    .apply([
      tower.apply(left) as tfl.SymbolicTensor,
      tower.apply(right) as tfl.SymbolicTensor,
    ]) as tfl.SymbolicTensor;
  return tfl.model({
    name: 'shared',
    inputs: [left, right],
    outputs: dense('head', 3, 2).apply(both) as tfl.SymbolicTensor,
  });
}

/** A functional model that holds a functional one, which holds a Sequential. */
export function nested(width = 6, seed = 0): tfl.LayersModel {
  const deep = tfl.sequential({
    name: 'deep',
    layers: [
      dense('dense_1', 5, seed + 1, {inputShape: [width], activation: 'relu'}),
      dense('dense_2', 4, seed + 2),
    ],
  });
  const x = tfl.input({shape: [4], name: 'inner_input'});
  const wide = dense('wide', width, seed + 3).apply(x) as tfl.SymbolicTensor;
  const inner = tfl.model({name: 'inner', inputs: x, outputs: deep.apply(wide) as tfl.SymbolicTensor});
  const input = tfl.input({shape: [4], name: 'outer_input'});
  const y = inner.apply(input) as tfl.SymbolicTensor;
  return tfl.model({
    name: 'outer',
    inputs: input,
    outputs: dense('head', 3, seed + 4).apply(y) as tfl.SymbolicTensor,
  });
}

/**
 * A Dense over the last axis of rank 3, one inside TimeDistributed, an LSTM in both directions, and a head.
 */
export function timeDistributed(): tfl.LayersModel {
  const x = tfl.input({shape: [3, 4], name: 'steps'});
  const apply = (layer: tfl.layers.Layer, y: tfl.SymbolicTensor) => layer.apply(y) as tfl.SymbolicTensor;
  let y = apply(dense('tokens', 5, 1, {activation: 'elu'}), x);
  y = apply(tfl.layers.timeDistributed({name: 'each', layer: dense('step', 4, 2)}), y);
  y = apply(
    tfl.layers.bidirectional({
      name: 'rnn',
      layer: tfl.layers.lstm({
        name: 'lstm',
        units: 2,
        kernelInitializer: normal(3),
        recurrentInitializer: normal(4),
      }) as never,
      mergeMode: 'concat',
    }),
    y,
  );
  return tfl.model({name: 'time_distributed', inputs: x, outputs: apply(dense('head', 3, 5), y)});
}

/**
 * A nested model that is used twice, once more inside TimeDistributed, and one of whose layers the outer
 * model uses by itself too.
 */
export function reused(): tfl.LayersModel {
  const apply = (layer: tfl.layers.Layer, y: tfl.SymbolicTensor) => layer.apply(y) as tfl.SymbolicTensor;
  const first = dense('first', 4, 1, {activation: 'tanh'});
  const x = tfl.input({shape: [4], name: 'inner_input'});
  const inner = tfl.model({name: 'inner', inputs: x, outputs: apply(dense('second', 4, 2), apply(first, x))});
  const left = tfl.input({shape: [4], name: 'left'});
  const steps = tfl.input({shape: [2, 4], name: 'steps'});
  const each = apply(tfl.layers.timeDistributed({name: 'each', layer: inner}), steps);
  const parts = [
    apply(inner, apply(inner, left)),
    apply(first, left),
    apply(tfl.layers.flatten({name: 'flat'}), each),
  ];
  const joined = tfl.layers.concatenate({name: 'joined'}).apply(parts) as tfl.SymbolicTensor;
  return tfl.model({name: 'reused', inputs: [left, steps], outputs: apply(dense('head', 3, 3), joined)});
}

/** BatchNormalization, LayerNormalization and dropout around two Dense layers. */
export function normalized(): tfl.LayersModel {
  const x = tfl.input({shape: [4], name: 'features'});
  const apply = (layer: tfl.layers.Layer, y: tfl.SymbolicTensor) => layer.apply(y) as tfl.SymbolicTensor;
  let y = apply(dense('first', 6, 1), x);
  y = apply(tfl.layers.batchNormalization({name: 'batch_norm'}), y);
  y = apply(tfl.layers.layerNormalization({name: 'layer_norm'}), y);
  y = apply(tfl.layers.dropout({name: 'dropout', rate: 0.1, seed: 1}), y);
  return tfl.model({
    name: 'normalized',
    inputs: x,
    outputs: apply(dense('head', 3, 2, {activation: 'softmax'}), y),
  });
}

export const MODELS: Record<string, () => tfl.LayersModel> = {
  sequential,
  shared,
  nested: () => nested(),
  timeDistributed,
  reused,
  normalized,
};

export {ADAPTERS, scalesOnly} from './adapters.js';

/** Images through convolutions: 3 x 3 with strides, depthwise, and 1 x 1. */
export function images(): tfl.LayersModel {
  const init = (seed: number) => ({kernelInitializer: normal(seed), biasInitializer: normal(seed + 100)});
  return tfl.sequential({
    name: 'images',
    layers: [
      tfl.layers.conv2d({
        name: 'conv_1',
        filters: 4,
        kernelSize: 3,
        strides: 2,
        padding: 'same',
        activation: 'tanh',
        inputShape: [5, 5, 2],
        ...init(1),
      }),
      tfl.layers.depthwiseConv2d({name: 'conv_10', kernelSize: 2, depthwiseInitializer: normal(2)}),
      tfl.layers.conv2d({name: 'conv', filters: 6, kernelSize: 1, ...init(3)}),
      tfl.layers.globalAveragePooling2d({name: 'pool'} as never),
      dense('head', 3, 4),
    ],
  });
}

/** Tokens, with padding, through an embedding, an LSTM in both directions and a GRU. */
export function text(): tfl.LayersModel {
  const cell = (seed: number) => ({
    units: 3,
    kernelInitializer: normal(seed),
    recurrentInitializer: normal(seed + 10),
  });
  return tfl.sequential({
    name: 'text',
    layers: [
      tfl.layers.embedding({
        name: 'words',
        inputDim: 7,
        outputDim: 5,
        maskZero: true,
        batchInputShape: [null, 3],
        embeddingsInitializer: normal(1),
      }),
      tfl.layers.bidirectional({
        name: 'both',
        mergeMode: 'concat',
        layer: tfl.layers.lstm({name: 'lstm', returnSequences: true, ...cell(2)}) as never,
      }),
      tfl.layers.gru({name: 'gru', ...cell(3)}),
      dense('head', 3, 4),
    ],
  });
}

/** Models with sites of every kind, none of which TimeDistributed or a shared layer makes any different. */
export const SITE_MODELS: Record<string, () => tfl.LayersModel> = {images, text};

/** Inputs for a model, the same in every call; numbers of tokens where the first layer looks them up. */
export function inputsOf(model: tfl.LayersModel, batch = 5): tf.Tensor[] {
  const tokens = model.layers.some(({name}) => name === 'words');
  return model.inputs.map(({shape}, i) =>
    tf.tidy(() => {
      const values = tf.randomNormal([batch, ...(shape.slice(1) as number[])], 0, 1, 'float32', 7 + i);
      return tokens ? tf.cast(tf.minimum(tf.mul(tf.abs(values), 3), 6), 'int32') : values;
    }),
  );
}

export async function predict(model: tfl.LayersModel): Promise<Float32Array> {
  const x = inputsOf(model);
  const y = model.predict(x.length === 1 ? x[0]! : x) as tf.Tensor;
  const values = Float32Array.from(await y.data());
  tf.dispose([x, y]);
  return values;
}

/** Trains for some steps; the model must be compiled. */
export async function train(model: tfl.LayersModel, epochs = 3): Promise<number[]> {
  const x = inputsOf(model, 8);
  const y = tf.randomUniform([8, 3], 0, 1, 'float32', 11);
  const {history} = await model.fit(x.length === 1 ? x[0]! : x, y, {
    epochs,
    batchSize: 4,
    shuffle: false,
    verbose: 0,
  });
  tf.dispose([x, y]);
  return history.loss as number[];
}

export function compile(model: tfl.LayersModel, optimizer: string | tf.Optimizer = 'adam'): void {
  model.compile({optimizer, loss: 'meanSquaredError', metrics: ['mae']});
}

/**
 * Every variable that is reachable from the model's layers, with its state: what
 * must not change, or must come back.
 */
export function snapshot(
  model: tfl.LayersModel,
): {name: string; id: number; bytes: string; trainable: boolean}[] {
  return [...new Set(model.weights)].map((weight) => ({
    name: weight.originalName,
    id: (weight.read() as tf.Variable).id,
    bytes: Buffer.from(Uint8Array.from(new Uint8Array(weight.read().dataSync().slice().buffer))).toString(
      'base64',
    ),
    trainable: weight.trainable,
  }));
}

/** A copy of a model in memory, as if loaded from the same files. */
export async function copy(model: tfl.LayersModel): Promise<tfl.LayersModel> {
  let saved: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
    }),
  );
  return tfl.loadLayersModel(tf.io.fromMemory(saved!));
}

/**
 * Everything of a model that a refused call must leave alone, and that detach must
 * bring back: objects by identity.
 */
export function fingerprint(model: tfl.LayersModel): unknown[] {
  const {layers, models} = mapModel(model);
  return [
    ...layers.flatMap(({layer, path}) => [
      path,
      layer,
      layer.trainable,
      ...layer.weights.map((weight) => weight.id),
    ]),
    ...models.flatMap((part) => [part, part.trainable, (part as unknown as tfl.LayersModel).optimizer]),
    ...model.trainableWeights.map(({id}) => id),
    'nodes',
    ...layers.flatMap(({layer}) => [layer.inboundNodes.length, layer.outboundNodes.length]),
    JSON.stringify(snapshot(model)),
    JSON.stringify(model.getConfig()),
  ];
}

/** Compares by identity, and so does not print whole models. */
export function expectUnchanged(model: tfl.LayersModel, before: readonly unknown[]): void {
  const now = fingerprint(model);
  expect(now.length).toBe(before.length);
  expect(before.findIndex((part, i) => !Object.is(part, now[i]))).toBe(-1);
}
