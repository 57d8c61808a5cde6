import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/wasm';
import '@tfjs-peft/kernels/wasm-training';
import '@tfjs-peft/kernels/gradients';
import {loadPeft, trainer, upgrade} from '@tfjs-peft/layers/graph';

await tf.setBackend('wasm');

// Your own model comes from tf.loadGraphModel(url). This one, a product and a relu, stands in for it.
const pretrained = () => {
  const node = (name: string, op: string, input: string[], attr: object) => ({
    ...{name, op, input},
    attr: {T: {type: 'DT_FLOAT'}, ...attr},
  });
  const dim = [{size: '-1'}, {size: '8'}];
  return tf.loadGraphModel(
    tf.io.fromMemory({
      modelTopology: {
        versions: {producer: 1882},
        node: [
          node('x', 'Placeholder', [], {shape: {shape: {dim}}, dtype: {type: 'DT_FLOAT'}}),
          node('w', 'Const', [], {dtype: {type: 'DT_FLOAT'}}),
          node('hidden/MatMul', 'MatMul', ['x', 'w'], {transpose_a: {b: false}, transpose_b: {b: false}}),
          node('features', 'Relu', ['hidden/MatMul'], {}),
        ],
      },
      weightSpecs: [{name: 'w', shape: [8, 16], dtype: 'float32'}],
      weightData: Float32Array.from({length: 8 * 16}, (_, i) => Math.sin(i * 12.9898)).buffer,
    }),
  );
};
const model = await pretrained();
const peft = await upgrade(model, {
  targets: [/MatMul/],
  adapter: {type: 'molora', experts: 4, rank: 2},
  seed: 1,
});

// tfjs has no `fit` for a GraphModel. `trainer` puts a new head behind any
// node, and trains as tfjs-layers does.
const head = () => tf.layers.dense({units: 3, activation: 'softmax'});
const options = {outputs: 'features', loss: 'categoricalCrossentropy', metrics: ['accuracy']};
const training = trainer(model, {...options, head: head(), optimizer: tf.train.adam(0.02)});

const xs = tf.randomNormal([64, 8], 0, 1, 'float32', 2);
const ys = tf.oneHot(tf.argMax(tf.slice(xs, [0, 0], [64, 3]), 1), 3);
const {history} = await training.fit({xs, ys}, {epochs: 20, batchSize: 16, verbose: 0});
console.log('loss by epoch:', history.loss);
console.log(await training.evaluate({xs, ys}));
await peft.save('out/graph-adapter'); // with its head

// Elsewhere: a fresh copy of the base, and a head of the same layers, which gets the saved values.
const copy = await pretrained();
await loadPeft(copy, 'out/graph-adapter');
console.log(await trainer(copy, {...options, head: head()}).evaluate({xs, ys}));
