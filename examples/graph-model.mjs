import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/gradients';
import {trainer, upgrade} from '@tfjs-peft/layers/graph';

// Any GraphModel that you have, from tf.loadGraphModel(url). This one, a product and a relu, stands for it.
const node = (name, op, input, attr) => ({name, op, input, attr: {T: {type: 'DT_FLOAT'}, ...attr}});
const dim = [{size: '-1'}, {size: '8'}];
const model = await tf.loadGraphModel(
  tf.io.fromMemory({
    modelTopology: {
      versions: {producer: 1882},
      node: [
        node('x', 'Placeholder', [], {shape: {shape: {dim}}, dtype: {type: 'DT_FLOAT'}}),
        node('w', 'Const', [], {dtype: {type: 'DT_FLOAT'}}),
        node('hidden/MatMul', 'MatMul', ['x', 'w'], {transpose_a: {b: false}, transpose_b: {b: false}}),
        node('features', 'Relu', ['hidden/MatMul']),
      ],
    },
    weightSpecs: [{name: 'w', shape: [8, 16], dtype: 'float32'}],
    weightData: tf.randomNormal([8, 16], 0, 0.5, 'float32', 1).dataSync().buffer,
  }),
);

const peft = await upgrade(model, {
  targets: [/MatMul/], // names of nodes, patterns, {op}, {weightShape}, or 'all-projections'
  adapter: {type: 'molora', experts: 4, rank: 2},
  seed: 1,
});

// tf.js has no fit for a GraphModel. A head behind any node of the graph, and training as tfjs-layers does it:
const training = trainer(model, {
  outputs: 'features',
  head: tf.layers.dense({units: 3, activation: 'softmax'}),
  optimizer: tf.train.adam(0.02),
  loss: 'categoricalCrossentropy',
  metrics: ['accuracy'],
});
const xs = tf.randomNormal([64, 8], 0, 1, 'float32', 2);
const ys = tf.oneHot(tf.argMax(tf.slice(xs, [0, 0], [64, 3]), 1), 3);
const {history} = await training.fit({xs, ys}, {epochs: 20, batchSize: 16, verbose: 0});
console.log(`loss ${history.loss[0].toFixed(3)} to ${history.loss.at(-1).toFixed(3)}`);
console.log(await training.evaluate({xs, ys}));

await peft.save('out/graph-adapter'); // with its head; the same files as for a LayersModel
training.dispose();
peft.detach(); // the graph as it was
