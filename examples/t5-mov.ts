import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {upgrade} from '@tfjs-peft/layers';

// A block as T5 has it: attention, and a feed-forward whose hidden vector is gated.
const [width, heads, hidden] = [16, 4, 32];
type Symbolic = tf.SymbolicTensor;
const dense = (name: string, units: number, input: Symbolic, activation?: 'gelu_new') =>
  tf.layers.dense({name, units, useBias: false, ...(activation && {activation})}).apply(input) as Symbolic;

const x = tf.input({shape: [null, width]});
const [q, k, v] = [dense('query', width, x), dense('key', width, x), dense('value', width, x)];
const weights = tf.layers.softmax().apply(tf.layers.dot({axes: [2, 2]}).apply([q, k])) as Symbolic;
const attended = tf.layers.dot({axes: [2, 1]}).apply([weights, v]) as Symbolic;
const gate = dense('wi_0', hidden, attended, 'gelu_new');
const gated = tf.layers.multiply().apply([gate, dense('wi_1', hidden, attended)]) as Symbolic;
const model = tf.model({inputs: x, outputs: dense('wo', width, gated)});

// MoV as released: keys and values are scaled head by head, each head routed by itself; the
// hidden vector after its activation.
const peft = await upgrade(model, {
  targets: ['key', 'value', 'wi_0'],
  adapter: {type: 'mov', experts: 8, form: 'code'},
  overrides: [{targets: ['key', 'value'], adapter: {heads}}],
});
console.log(String(peft.report()));
