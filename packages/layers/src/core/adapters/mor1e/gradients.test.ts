import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {type Mor1eConfig, PeftDense} from '../../../index.js';
import {normal} from '../../../testing/sites.js';

beforeAll(() => tf.setBackend('cpu'));

/**
 * Sites where the intuition takes part, since its two scalars and the map of its
 * scores are trained with the rest.
 */
it.each<[Mor1eConfig, string[]]>([
  [{type: 'mor1e', r1: 2, r2: 2}, ['lora_A', 'lora_B', 'router', 'omega', 'gate']],
  [{type: 'mor1e', r1: 2, r2: 2, clusters: 5}, ['mapper', 'router', 'omega', 'gate']],
  [{type: 'mor1e', mode: '1v1', rank: 3, tokenGate: false}, ['omega', 'gate']],
])('%j has gradients that agree with differences', (config, names) => {
  const experts = config.mode === '1v1' ? 3 : 4;
  const intuition = normal([2, config.clusters ?? experts], 4);
  const layer = new PeftDense({units: 4, kernelInitializer: tf.initializers.glorotNormal({seed: 1})});
  layer.addAdapter('default', config, 1);
  layer.activate('default');
  layer.build([null, 3]);
  layer.context = () => ({intuition});
  const scalars = ['omega', 'gate'];
  const weights = [...layer.adapterWeights('default')];
  // A scalar is the hundredth part of a logit.
  const sizeOf = (name: string) => (scalars.includes(name) ? 0.005 : 0.5);
  for (const [name, variable] of weights) {
    variable.write(tf.mul(normal(variable.shape as number[], 8), sizeOf(name)));
  }
  const x = normal([2, 3, 3], 5);
  const cotangent = Array.from(normal([2, 3, 4], 6).dataSync());
  const forward = () => layer.call(x, {training: true}) as tf.Tensor;
  const variables = weights.map(([, variable]) => variable.read() as tf.Variable);
  const {grads} = tf.variableGrads(
    () => tf.sum(tf.mul(forward(), tf.tensor(cotangent, [2, 3, 4]))) as tf.Scalar,
    variables,
  );
  const loss = () => {
    const y = forward().dataSync();
    return cotangent.reduce((sum, factor, i) => sum + factor * y[i]!, 0);
  };
  expect(weights.map(([name]) => name)).toEqual(expect.arrayContaining(names));
  for (const [i, [name]] of weights.entries()) {
    const variable = variables[i]!;
    const start = variable.clone();
    const direction = normal(variable.shape, 9);
    const step = 0.02 * sizeOf(name);
    const at = (by: number) => {
      variable.assign(tf.add(start, tf.mul(direction, by)));
      return loss();
    };
    const want = (at(step) - at(-step)) / (2 * step);
    variable.assign(start);
    const got = tf.sum(tf.mul(grads[variable.name]!, direction)).dataSync()[0]!;
    expect(Math.abs(want)).toBeGreaterThan(1e-3);
    expect([name, got / want]).toEqual([name, expect.closeTo(1, 2)]);
  }
});
