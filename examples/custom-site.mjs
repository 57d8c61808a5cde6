import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {registerSite, upgrade} from '@tfjs-peft/layers';

// A layer of your own: a projection to heads, [batch, d] to [batch, heads, width], as Keras' EinsumDense with 'bd,dhk->bhk'.
class HeadsDense extends tf.layers.Layer {
  static className = 'HeadsDense';
  constructor({heads, width, ...args}) {
    super(args);
    Object.assign(this, {heads, width});
  }
  build([, d]) {
    this.kernel = this.addWeight(
      'kernel',
      [d, this.heads, this.width],
      'float32',
      tf.initializers.glorotNormal({}),
    );
  }
  call(inputs) {
    const [x] = [inputs].flat();
    const y = tf.matMul(x, this.kernel.read().reshape([x.shape[1], -1]));
    return tf.reshape(y, [-1, this.heads, this.width]);
  }
  computeOutputShape([batch]) {
    return [batch, this.heads, this.width];
  }
  getConfig() {
    return {...super.getConfig(), heads: this.heads, width: this.width};
  }
}
tf.serialization.registerClass(HeadsDense);

// How it is a site: its kernel as a matrix, and what the layer does with the product.
registerSite('HeadsDense', {
  kind: 'headsDense',
  operation: (layer) => ({
    get dims() {
      return {inputDim: layer.kernel.shape[0], outputDim: layer.heads * layer.width};
    },
    get frozen() {
      return {kernel: layer.kernel.read().reshape([layer.kernel.shape[0], -1])};
    },
  }),
  finish: (y, {layer}) => tf.reshape(y, [-1, layer.heads, layer.width]),
});

const model = tf.sequential();
model.add(new HeadsDense({heads: 2, width: 3, inputShape: [4], name: 'heads'}));
model.add(tf.layers.flatten());
model.add(tf.layers.dense({units: 1, name: 'out'}));
const peft = await upgrade(model, {
  targets: 'all-projections',
  adapter: {type: 'molora', experts: 2, rank: 1},
});
console.log(String(peft.report()));
