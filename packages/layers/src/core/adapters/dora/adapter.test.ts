import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import {createAdapter, PeftDense} from '../../../index.js';
import {type DoubleSite, describeAdapter} from '../../../testing/describe-adapter.js';
import {product} from '../../../testing/double.js';
import {changed, norms} from '../../../testing/low-rank.js';

/** y = act(c ∘ (x (W + s A B)) + b) with the whole matrix, which the layer never makes. */
function dora(scale: number, normOf: 'weight' | 'constant') {
  return (site: DoubleSite) => {
    const {x, z, act, weight} = site;
    const read = site[normOf];
    const size = norms(changed(read('kernel'), read('lora_A'), read('lora_B'), scale));
    const whole = changed(weight('kernel'), weight('lora_A'), weight('lora_B'), scale);
    const raw = product(x, weight('kernel'));
    const u = product(x, whole).map((row, i) =>
      row.map((value, j) => (weight('magnitude')[0]![j]! / size[j]!) * value + z[i]![j]! - raw[i]![j]!),
    );
    return act(u);
  };
}

describeAdapter({type: 'dora', rank: 3, alpha: 6}, dora(2, 'constant'));
describeAdapter({type: 'dora', rank: 2, alpha: 3, normGradient: true}, dora(1.5, 'weight'));

test('the magnitude starts as the norms of the columns, also of a column of zeros', async () => {
  await tf.setBackend('cpu');
  const kernel = tf.tensor2d([
    [3, 0, 1],
    [4, 0, -1],
  ]);
  const layer = new PeftDense({units: 3, weights: [kernel, tf.tensor1d([1, 2, 3])], inputShape: [2]});
  layer.addAdapter('default', {type: 'dora', rank: 1}, 1);
  layer.activate('default');
  layer.build([null, 2]);
  const magnitude = layer.adapterWeights('default').get('magnitude')!.read();
  expect(Array.from(await magnitude.data())).toEqual([5, 0, Math.fround(Math.SQRT2)]);
  const y = layer.call(tf.tensor2d([[1, 2]]), {}) as tf.Tensor;
  const got = Array.from(await y.data());
  [12, 2, 2].forEach((want, i) => {
    expect(got[i]).toBeCloseTo(want, 5);
  });
});

test('dora defaults: rank 8, alpha 16, no gradient through the norm', () => {
  expect(createAdapter({type: 'dora'}).getConfig()).toEqual({
    type: 'dora',
    rank: 8,
    alpha: 16,
    normGradient: false,
  });
});
