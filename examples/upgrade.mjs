import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {upgrade} from '@tfjs-peft/layers';

// Any LayersModel that you have, such as one from tf.loadLayersModel(url). This one stands for it.
const pretrained = () =>
  tf.sequential({
    layers: [
      tf.layers.dense({
        inputShape: [16],
        units: 32,
        activation: 'relu',
        kernelInitializer: tf.initializers.glorotNormal({seed: 1}),
        name: 'hidden',
      }),
      tf.layers.dense({
        units: 4,
        activation: 'softmax',
        kernelInitializer: tf.initializers.glorotNormal({seed: 2}),
        name: 'head',
      }),
    ],
  });
const model = pretrained();

const peft = await upgrade(model, {
  targets: ['hidden', /^head/], // names, regular expressions, a predicate, or 'all-dense'
  adapter: {type: 'molora', experts: 4, rank: 2},
  seed: 1,
});
console.log(String(peft.report())); // what matched, what did not and why, how many parameters train

// Your own model object, and the API that it always had. Only the experts and their routers change.
const x = tf.randomNormal([64, 16], 0, 1, 'float32', 1);
const labels = tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [64, 4]), 1), 4);
model.compile({optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy'});
const {history} = await model.fit(x, labels, {epochs: 10, verbose: 0});
console.log(`loss ${history.loss[0].toFixed(3)} to ${history.loss.at(-1).toFixed(3)}`);

await peft.save('out/adapter'); // adapter_model.safetensors and adapter_config.json

// Elsewhere, on a fresh copy of the base model:
const other = pretrained();
const loaded = await upgrade(other, {
  targets: ['hidden', 'head'],
  adapter: {type: 'molora', experts: 4, rank: 2},
});
await loaded.load('out/adapter');
const difference = tf.max(tf.abs(tf.sub(model.predict(x), other.predict(x)))).dataSync()[0];
console.log(`the copy with the loaded adapter differs by ${difference}`);

peft.disable(); // the base model's outputs, bit for bit
peft.enable();
peft.detach(); // the base model's layers and tensors, as they were
