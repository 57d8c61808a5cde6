import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {combine, project} from '@tfjs-peft/kernels';

const x = tf.randomNormal([2, 5, 24]);
const kernel = tf.randomNormal<tf.Rank.R2>([24, 20]); // frozen: no gradient is computed for it
const a = tf.variable(tf.randomNormal<tf.Rank.R2>([24, 4], 0, 0.02));
const b = tf.variable(tf.zeros<tf.Rank.R2>([4, 20]));

// LoRA in two calls: h = x A, then relu(x W + 4 h B) in one pass over the output.
const lora = () => combine({x, kernel, h: project({x, a}).h, b, scale: 4, activation: 'relu'});
const {grads} = tf.variableGrads(() => tf.sum(lora()), [a, b]);
console.log(Object.values(grads).map((grad) => grad.shape)); // [[24, 4], [4, 20]]
