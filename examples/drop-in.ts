import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {moloraDense} from '@tfjs-peft/layers';

const model = tf.sequential();
model.add(tf.layers.dense({inputShape: [8], units: 16, activation: 'relu'}));
// A Dense of 3 units whose kernel is frozen beside 4 trained experts of rank 2.
model.add(moloraDense({units: 3, activation: 'softmax', experts: 4, rank: 2, seed: 1}));
model.compile({optimizer: 'adam', loss: 'categoricalCrossentropy'});

const x = tf.randomNormal([32, 8]);
const y = tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [32, 3]), 1), 3);
await model.fit(x, y, {epochs: 2, verbose: 0});

// It is saved and loaded as any other layer is.
let saved: tf.io.ModelArtifacts | undefined;
await model.save(
  tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return {modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts)};
  }),
);
const copy = await tf.loadLayersModel(tf.io.fromMemory(saved!));
console.log('same outputs:', String(copy.predict(x)) === String(model.predict(x)));
