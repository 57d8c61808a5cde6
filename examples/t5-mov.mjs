import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {upgrade} from '@tfjs-peft/layers';

// A block as T5 has it: attention, and a feed-forward whose hidden vector is gated.
const [width, heads, hidden] = [16, 4, 32];
const dense = (name, units, activation) =>
  tf.layers.dense({name, units, useBias: false, ...(activation && {activation})});
const x = tf.input({shape: [null, width]});
const [q, k, v] = ['query', 'key', 'value'].map((name) => dense(name, width).apply(x));
const weights = tf.layers.softmax().apply(tf.layers.dot({axes: [2, 2]}).apply([q, k]));
const attended = tf.layers.dot({axes: [2, 1]}).apply([weights, v]);
const gated = tf.layers
  .multiply()
  .apply([dense('wi_0', hidden, 'gelu_new').apply(attended), dense('wi_1', hidden).apply(attended)]);
const model = tf.model({inputs: x, outputs: dense('wo', width).apply(gated)});

// MoV as released: the keys and values are rescaled head by head, each head routed by itself; the hidden vector after its activation.
const peft = await upgrade(model, {
  targets: ['key', 'value', 'wi_0'],
  adapter: {type: 'mov', experts: 8, form: 'code'},
  overrides: [{targets: ['key', 'value'], adapter: {heads}}],
});
console.log(String(peft.report()));
