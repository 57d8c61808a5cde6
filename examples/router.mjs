import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {moloraDense} from '@tfjs-peft/layers';
import {registerRouter} from '@tfjs-peft/routers';

// A router of your own: it declares its weights once, and turns what a site sees into one gate per expert.
class SigmoidRouter {
  constructor({experts}) {
    this.experts = experts;
  }
  build(inputDim, add) {
    this.kernel = add('router', [inputDim, this.experts], {type: 'normal', stddev: 0.02});
  }
  route({input}) {
    const rows = tf.reshape(input, [-1, input.shape.at(-1)]);
    const open = tf.sigmoid(tf.matMul(rows, this.kernel.read()));
    const gates = tf.reshape(tf.div(open, tf.sum(open, -1, true)), [
      ...input.shape.slice(0, -1),
      this.experts,
    ]);
    return {gates, probabilities: gates};
  }
  getConfig() {
    return {type: 'sigmoid', experts: this.experts};
  }
}
registerRouter('sigmoid', (config) => new SigmoidRouter(config));

const layer = moloraDense({units: 3, experts: 4, rank: 2, router: {type: 'sigmoid'}});
console.log(layer.apply(tf.ones([2, 8])).shape); // [2, 3]
