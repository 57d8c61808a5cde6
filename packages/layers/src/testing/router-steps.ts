import * as tf from '@tensorflow/tfjs';
import {routerDefinitions} from '@tfjs-peft/routers';
import {type AdapterRouterConfig, PeftDense} from '../index.js';
import {normal} from './sites.js';

/** The example configs of every built-in router. */
export const ROUTERS = routerDefinitions().flatMap(({examples = []}) => examples as AdapterRouterConfig[]);

/**
 * Loss of a training step of LiME with that router, and the gradients of all weights that
 * are trained, on the active backend.
 */
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

/**
 * The largest difference of two steps, over the largest figure of the first; infinite if one
 * has other figures than the other.
 */
export function stepDeviation(want: number[], got: number[]): number {
  if (want.length !== got.length || !got.every(Number.isFinite)) return Number.POSITIVE_INFINITY;
  return Math.max(...want.map((value, i) => Math.abs(value - got[i]!))) / Math.max(...want.map(Math.abs));
}
