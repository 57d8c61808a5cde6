import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {uniformNumbers} from '@tfjs-peft/routers';
import {GraphWriter} from '../../dialects/graph-writer.js';

/**
 * Sites of every kind that a LayersModel had in the first version: lookup, projection,
 * recurrent, convolution, scaling.
 */
export function layersBase(): tf.LayersModel {
  const tokens = tf.input({shape: [6], name: 'tokens', dtype: 'int32'});
  const image = tf.input({shape: [6, 6, 3], name: 'image'});
  const embedded = tf.layers.embedding({inputDim: 12, outputDim: 8, name: 'embedding'}).apply(tokens);
  const hidden = tf.layers.dense({units: 8, activation: 'relu', name: 'hidden'}).apply(embedded);
  const state = tf.layers.gru({units: 6, name: 'gru'}).apply(hidden) as tf.SymbolicTensor;
  const convolved = tf.layers
    .conv2d({filters: 5, kernelSize: 3, padding: 'same', activation: 'relu', name: 'conv'})
    .apply(image);
  const scaled = tf.layers.depthwiseConv2d({kernelSize: 3, name: 'depthwise'}).apply(convolved);
  const pooled = tf.layers.globalAveragePooling2d({name: 'pool'}).apply(scaled) as tf.SymbolicTensor;
  const joined = tf.layers.concatenate({name: 'join'}).apply([state, pooled]);
  const head = tf.layers.dense({units: 4, activation: 'softmax', name: 'head'}).apply(joined);
  const model = tf.model({inputs: [tokens, image], outputs: head as tf.SymbolicTensor});
  model.setWeights(model.getWeights().map((weight, i) => numbers(weight.shape, 0.6, 10 + i)));
  return model;
}

export function layersInputs(): tf.Tensor[] {
  const ids = [
    [1, 2, 3, 4, 5, 6],
    [7, 8, 9, 10, 11, 1],
    [2, 2, 3, 3, 0, 0],
  ];
  return [tf.tensor2d(ids, [3, 6], 'int32'), numbers([3, 6, 6, 3], 1, 1)];
}

/** A product with a bias and a relu, a convolution, and a second product. */
export function graphBase(): tf.io.ModelArtifacts {
  const writer = new GraphWriter();
  const float = (name: string, shape: number[], seed: number) =>
    writer.float(name, shape, numbers(shape, 0.6, seed).dataSync());
  const x = writer.placeholder('x', [-1, 8], 'DT_FLOAT');
  const image = writer.placeholder('image', [-1, 6, 6, 3], 'DT_FLOAT');
  const plain = {transpose_a: false, transpose_b: false};
  const product = writer.node('hidden/MatMul', 'MatMul', [x, float('hidden/kernel', [8, 10], 31)], plain);
  const biased = writer.node('hidden/BiasAdd', 'BiasAdd', [product, float('hidden/bias', [10], 32)]);
  const hidden = writer.node('hidden/Relu', 'Relu', [biased]);
  const convolved = writer.node('conv/Conv2D', 'Conv2D', [image, float('conv/kernel', [3, 3, 3, 5], 33)], {
    strides: {list: {i: ['1', '1', '1', '1']}},
    dilations: {list: {i: ['1', '1', '1', '1']}},
    padding: 'SAME',
    data_format: 'NHWC',
  });
  const pooled = writer.node('pool/Mean', 'Mean', [convolved, writer.ints('pool/axes', [1, 2])], {
    keep_dims: false,
  });
  const joined = writer.node('join/concat', 'ConcatV2', [hidden, pooled, writer.ints('join/axis', 1)], {
    N: 2,
  });
  const out = writer.node('head/MatMul', 'MatMul', [joined, float('head/kernel', [15, 4], 34)], plain);
  writer.output('scores', out, [-1, 4]);
  return writer.artifacts();
}

export function graphInputs(): tf.NamedTensorMap {
  return {x: numbers([3, 8], 1, 2), image: numbers([3, 6, 6, 3], 1, 3)};
}

/**
 * What a batch of three samples brings along for every router that reads it: three
 * experts, sentence vectors of width 5.
 */
export function contextOfBatch() {
  return {
    intuition: numbers([3, 3], 1, 4),
    sentence: numbers([3, 5], 1, 5),
    task: tf.tensor1d([0, 2, 1]),
  };
}

/** Uniform numbers from -scale to scale. */
export function numbers(shape: number[], scale: number, seed: number): tf.Tensor {
  const random = uniformNumbers(seed);
  const values = Array.from({length: tf.util.sizeFromShape(shape)}, () => (2 * random() - 1) * scale);
  return tf.tensor(values, shape, 'float32');
}

/** Saves a model's files into a folder, as tfjs-node does for `file://`. */
export function folderSaver(folder: string): tf.io.IOHandler {
  return tf.io.withSaveHandler(async (artifacts) => {
    mkdirSync(folder, {recursive: true});
    const {weightData, weightSpecs, ...json} = artifacts;
    const paths = ['weights.bin'];
    const weightsManifest = [{paths, weights: weightSpecs}];
    writeFileSync(join(folder, 'model.json'), JSON.stringify({...json, weightsManifest}));
    writeFileSync(join(folder, 'weights.bin'), new Uint8Array(weightData as ArrayBuffer));
    return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
  });
}
