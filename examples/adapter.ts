import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {
  type Adapter,
  type AdapterView,
  type AddWeight,
  defineAdapter,
  type SiteDims,
  upgrade,
  type Weight,
} from '@tfjs-peft/layers';

interface ShiftConfig {
  type: 'shift';
}

// Configs of this type are checked as those of the library's own adapters.
declare module '@tfjs-peft/layers' {
  interface AdapterConfigs {
    shift: ShiftConfig;
  }
}

/** y = act(x W + b + shift): a bias that is trained beside the frozen one. */
class ShiftAdapter implements Adapter {
  readonly type = 'shift';
  private shift!: Weight;

  /** Declares the weights. Nothing else says which there are. */
  build({outputDim}: SiteDims, add: AddWeight) {
    this.shift = add('shift', [outputDim], {type: 'zeros'});
  }

  /** Fills in parts of the one expression that all adapters share; see `combine` of @tfjs-peft/kernels. */
  parts(_view: AdapterView) {
    return {offset: this.shift.read() as tf.Tensor1D};
  }

  getConfig(): ShiftConfig {
    return {type: 'shift'};
  }
}
defineAdapter({type: 'shift', create: () => new ShiftAdapter()});

const model = tf.sequential();
model.add(tf.layers.dense({name: 'only', units: 3, inputShape: [4]}));
const peft = await upgrade(model, {targets: ['only'], adapter: {type: 'shift'}});
console.log(peft.report().trainable); // 3
