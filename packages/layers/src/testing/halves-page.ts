/** A page on webgl with textures of halves, as many phones have, or float32; see lifecycle/halves.test.ts. */
import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {keepsHalves} from '@tfjs-peft/kernels';
import {type LoadOptions, loadPeft, upgrade} from '../index.js';
import {type HalvesNet, halvesNet, type Stored, storedIn, storedOf} from './halves-net.js';

const page = {
  async use(textures: 'halves' | 'float32'): Promise<boolean> {
    tf.env().set('WEBGL_FORCE_F16_TEXTURES', textures === 'halves');
    await tf.setBackend('webgl');
    await tf.ready();
    // Small tensors would be computed by the cpu backend.
    tf.env().set('WEBGL_CPU_FORWARD', false);
    tf.env().set('WEBGL_SIZE_UPLOAD_UNIFORM', 0);
    return keepsHalves();
  },
  /**
   * Loads a file into a model that has computed already, so that its weights lie in
   * textures. Gives the error, or nothing.
   */
  async load(stored: Stored, net: HalvesNet = {}, options: LoadOptions = {}): Promise<string> {
    const model = halvesNet(net);
    await (model.predict(tf.ones([1, 8])) as tf.Tensor).data();
    try {
      await loadPeft(model, storedIn(stored), options);
      return '';
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  },
  /** What a model that has computed there is saved as. */
  async save(): Promise<Stored> {
    const model = halvesNet();
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: ['hidden'], seed: 1});
    await (model.predict(tf.ones([1, 8])) as tf.Tensor).data();
    return storedOf(peft);
  },
};

export type HalvesPage = typeof page;
(globalThis as {page?: HalvesPage}).page = page;
