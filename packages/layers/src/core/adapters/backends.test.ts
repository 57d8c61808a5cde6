import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {ROUTERS, routerStep, stepDeviation} from '../../testing/router-steps.js';

test.each(ROUTERS)('a training step by %j is the same on cpu and wasm', async (router) => {
  await tf.setBackend('cpu');
  const want = await routerStep(router);
  await tf.setBackend('wasm');
  expect(stepDeviation(want, await routerStep(router))).toBeLessThanOrEqual(2e-5);
});
