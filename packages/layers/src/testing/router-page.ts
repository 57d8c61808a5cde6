/** Every router's step in a page of a browser; opened by adapters/gpu.test.ts. */
import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/auto';
import {usePageBackend} from '@tfjs-peft/testing/page-backend';
import {columnNorms} from '../core/adapters/low-rank.js';
import {upgrade} from '../index.js';
import {ROUTERS, routerStep} from './router-steps.js';

async function useHalves(): Promise<void> {
  await tf.setBackend('cpu');
  tf.env().set('WEBGL_FORCE_F16_TEXTURES', true);
  tf.env().set('WEBGL_RENDER_FLOAT32_ENABLED', false);
  await tf.setBackend('webgl');
}

const page = {
  use: usePageBackend,
  /** The norms of a kernel's columns, the last of which is zero, in textures of halves. */
  async normsInHalves(): Promise<number[]> {
    await useHalves();
    const kernel = tf.mul(
      tf.tensor2d([
        [1, 2, 0],
        [1, 2, 0],
      ]),
      1,
    ) as tf.Tensor2D;
    const norms = columnNorms({kernel, a: tf.zeros([2, 1]), b: tf.zeros([1, 3]), scale: 1});
    return [...(await norms.data())];
  },
  /** Whether DoRA on a kernel with a column of zeros, in textures of halves, is finite after training. */
  async halves(): Promise<boolean> {
    await useHalves();
    const model = tf.sequential({
      layers: [tf.layers.dense({units: 4, inputShape: [4], useBias: false, name: 'd'})],
    });
    model.setWeights([tf.mul(tf.randomNormal([4, 4], 0, 1, 'float32', 3), tf.tensor1d([1, 1, 1, 0]))]);
    const peft = await upgrade(model, {targets: ['d'], adapter: {type: 'dora', rank: 2}, seed: 1});
    model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});
    await model.fit(tf.randomNormal([16, 4], 0, 1, 'float32', 5), tf.ones([16, 4]), {epochs: 20, verbose: 0});
    const values = peft.trainableVariables().flatMap((variable) => [...variable.dataSync()]);
    return values.length > 0 && values.every(Number.isFinite);
  },
  step: (i: number): Promise<number[]> => routerStep(ROUTERS[i]!),
};

export type RouterPage = typeof page;
(globalThis as {page?: RouterPage}).page = page;
