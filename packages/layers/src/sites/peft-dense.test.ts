import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {loraDense, PeftDense} from '../index.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

test('smoke', async () => {
  const model = tfl.sequential({layers: [loraDense({units: 3, rank: 2, inputShape: [4], activation: 'relu', name: 'block_1/Dense_A'})]});
  const y = model.predict(tf.ones([2, 4])) as tf.Tensor;
  y.print();
  console.log(model.weights.map((w) => w.originalName + ' ' + w.name + ' ' + w.trainable));
  model.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
  await model.fit(tf.ones([2, 4]), tf.ones([2, 3]), {verbose: 0});
  let saved!: tf.io.ModelArtifacts;
  await model.save(tf.io.withSaveHandler(async (a) => {saved = a; return {modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(a)};}));
  const again = await tfl.loadLayersModel(tf.io.fromMemory(saved));
  console.log(again.weights.map((w) => w.originalName + ' ' + w.name + ' ' + w.trainable));
  (again.predict(tf.ones([2, 4])) as tf.Tensor).print();
  (model.predict(tf.ones([2, 4])) as tf.Tensor).print();
  expect(again.layers[0]).toBeInstanceOf(PeftDense);
});
