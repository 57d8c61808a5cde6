import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {registerSite, upgrade} from '@tfjs-peft/layers';

type LayerArgs = ConstructorParameters<typeof tf.layers.Layer>[0];
type Shape = (number | null)[];

/** A layer of your own: a projection to heads, [batch, d] to [batch, heads, width]. */
class HeadsDense extends tf.layers.Layer {
  static className = 'HeadsDense';
  readonly heads: number;
  readonly width: number;
  private weight!: tf.LayerVariable;

  constructor({heads, width, ...args}: LayerArgs & {heads: number; width: number}) {
    super(args);
    this.heads = heads;
    this.width = width;
  }

  override build(shape: tf.Shape | tf.Shape[]) {
    const d = (shape as Shape)[1]!;
    const initializer = tf.initializers.glorotNormal({});
    this.weight = this.addWeight('kernel', [d, this.heads, this.width], 'float32', initializer);
    super.build(shape);
  }

  /** The kernel as a matrix, [d, heads * width]. */
  get matrix(): tf.Tensor2D {
    return tf.reshape(this.weight.read(), [this.weight.shape[0]!, this.heads * this.width]);
  }

  toHeads(y: tf.Tensor): tf.Tensor {
    return tf.reshape(y, [-1, this.heads, this.width]);
  }

  override call(inputs: tf.Tensor | tf.Tensor[]) {
    const [x] = [inputs].flat();
    return this.toHeads(tf.matMul(x!, this.matrix));
  }

  override computeOutputShape(shape: tf.Shape | tf.Shape[]): Shape {
    return [(shape as Shape)[0]!, this.heads, this.width];
  }

  override getConfig() {
    return {...super.getConfig(), heads: this.heads, width: this.width};
  }
}
tf.serialization.registerClass(HeadsDense);

// How such a layer is a site: its kernel as a matrix, and what becomes of the product.
registerSite('HeadsDense', {
  kind: 'headsDense',
  operation: (layer) => {
    const heads = layer as HeadsDense;
    return {
      get dims() {
        const [inputDim, outputDim] = heads.matrix.shape;
        return {inputDim, outputDim};
      },
      get frozen() {
        return {kernel: heads.matrix};
      },
    };
  },
  finish: (y, {layer}) => (layer as HeadsDense).toHeads(y),
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
