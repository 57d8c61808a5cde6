import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {moloraDense} from '@tfjs-peft/layers';

const model = tf.sequential();
model.add(tf.layers.dense({inputShape: [8], units: 16, activation: 'relu'}));
// A Dense of 3 units whose kernel is frozen beside 4 trained experts of rank 2.
model.add(
  moloraDense({units: 3, activation: 'softmax', experts: 4, rank: 2, router: {type: 'softmax'}, seed: 1}),
);
model.compile({optimizer: 'adam', loss: 'categoricalCrossentropy'});

const x = tf.randomNormal([32, 8]);
await model.fit(x, tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [32, 3]), 1), 3), {epochs: 2, verbose: 0});

// Saved and loaded like any other layer.
let saved;
await model.save(
  tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
  }),
);
const copy = await tf.loadLayersModel(tf.io.fromMemory(saved));
console.log(tf.max(tf.abs(tf.sub(model.predict(x), copy.predict(x)))).dataSync()[0]);
