import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {moloraDense} from '@tfjs-peft/layers';
import {type AddWeight, defineRouter, type Router, type RouterView, type Weight} from '@tfjs-peft/routers';

interface SigmoidConfig {
  type: 'sigmoid';
  experts: number;
}

// Configs of this type are checked as those of the library's own routers.
declare module '@tfjs-peft/routers' {
  interface RouterConfigs {
    sigmoid: SigmoidConfig;
  }
}

class SigmoidRouter implements Router {
  readonly experts: number;
  private kernel!: Weight;

  constructor({experts}: SigmoidConfig) {
    this.experts = experts;
  }

  build(inputDim: number, add: AddWeight) {
    this.kernel = add('router', [inputDim, this.experts], {type: 'normal', stddev: 0.02});
  }

  route({input}: RouterView) {
    const width = input.shape[input.rank - 1];
    const logits = tf.matMul(tf.reshape(input, [-1, width]), this.kernel.read() as tf.Tensor2D);
    const open = tf.sigmoid(logits);
    const gates = tf.reshape(tf.div(open, tf.sum(open, -1, true)), [
      ...input.shape.slice(0, -1),
      this.experts,
    ]);
    return {gates, probabilities: gates};
  }

  getConfig(): SigmoidConfig {
    return {type: 'sigmoid', experts: this.experts};
  }
}
defineRouter({type: 'sigmoid', create: (config) => new SigmoidRouter(config)});

const layer = moloraDense({units: 3, experts: 4, rank: 2, router: {type: 'sigmoid'}});
console.log((layer.apply(tf.ones([2, 8])) as tf.Tensor).shape); // [2, 3]
