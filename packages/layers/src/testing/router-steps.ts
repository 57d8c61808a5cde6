import * as tf from '@tensorflow/tfjs';
import {type AdapterRouterConfig, PeftDense} from '../index.js';
import {normal} from './sites.js';

/** Every router, with the options that reach other kernels. */
export const ROUTERS: AdapterRouterConfig[] = [
  {type: 'softmax', topK: 2, jitter: 0.1},
  {type: 'noisy-top-k'},
  {type: 'expert-choice'},
  {type: 'zero', importance: 0.1, divergence: 0.1, nGram: 2, jitter: 0.1},
  {type: 'zero', form: 'code'},
  {type: 'zero', selection: 'top-k-sigmoid', topK: 2},
  {type: 'intuition'},
  {type: 'sentence', width: 4},
  {type: 'task'},
  {type: 'fixed'},
  {type: 'composite', routers: [{type: 'softmax'}, {type: 'noisy-top-k'}]},
];

/** Loss of a training step of LiME with that router, and the gradients of all weights that are trained, on the active backend. */
export async function routerStep(router: AdapterRouterConfig): Promise<number[]> {
  const layer = new PeftDense({units: 6, kernelInitializer: tf.initializers.ones()});
  layer.addAdapter('default', {type: 'lime', experts: 3, router}, 1);
  layer.activate('default');
  layer.build([null, 5]);
  for (const [name, variable] of layer.adapterWeights('default')) {
    variable.write(normal(variable.shape as number[], name.length));
  }
  layer.context = () => ({
    intuition: normal([2, 3], 1),
    sentence: normal([2, 4], 1),
    task: tf.tensor1d([0, 2]),
    noise: (shape) => tf.fill(shape, 0.3),
  });
  const x = normal([2, 4, 5], 2);
  const {value, grads} = tf.variableGrads(
    () => {
      const y = tf.sum(tf.square(layer.call(x, {training: true}) as tf.Tensor)) as tf.Scalar;
      return layer.calculateLosses().reduce((total: tf.Scalar, loss) => tf.add(total, loss), y);
    },
    layer.trainableWeights.map((weight) => weight.read() as tf.Variable),
  );
  const read = [
    value,
    ...layer.trainableWeights.map((weight) => grads[(weight.read() as tf.Variable).name]!),
  ];
  return (await Promise.all(read.map((tensor) => tensor.data()))).flatMap((data) => Array.from(data));
}

/** The largest difference of two steps, over the largest figure of the first; infinite if one has other figures than the other. */
export function stepDeviation(want: number[], got: number[]): number {
  if (want.length !== got.length || !got.every(Number.isFinite)) return Number.POSITIVE_INFINITY;
  return Math.max(...want.map((value, i) => Math.abs(value - got[i]!))) / Math.max(...want.map(Math.abs));
}
