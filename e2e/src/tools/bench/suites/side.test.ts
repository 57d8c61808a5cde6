import * as tf from '@tensorflow/tfjs-core';
import {useBackend} from '../../golden/backend.js';
import {SIDE_CASES, sideSuite, weighedSide} from './side.js';

beforeAll(() => useBackend('wasm'));

test.each(Object.keys(SIDE_CASES))(
  '%s starts as a model that gives sentence vectors, and trains',
  async (name) => {
    const side = await weighedSide(name, undefined);
    const ids = tf.tensor2d([[5, 6, 7]], [1, 3], 'int32');
    const {value, grads} = tf.variableGrads(
      () => tf.sum(tf.slice(side.forward(ids, true), [0, 0], [1, 9])) as tf.Scalar,
      side.trained,
    );
    expect(value.dataSync()[0]).not.toBe(0);
    expect(Object.keys(grads)).toHaveLength(side.trained.length);
    tf.dispose([ids, value, grads]);
    side.dispose();
  },
);

test('what stands beside a quantised base holds fewer bytes than what stands in a plain one', async () => {
  const rows = await sideSuite({backend: 'wasm', rounds: 1, warmup: 0, size: [4, 16], cases: /ismoe|lora/});
  const ratio = (name: string, metric: string) =>
    rows.find((row) => row.case === name && row.metric === metric)!.ratio;
  for (const metric of ['peak-bytes', 'resident-bytes']) {
    expect(ratio('lora-all', metric)).toBe(1);
    expect(ratio('ismoe', metric)).toBeLessThan(1);
  }
  expect(ratio('mp-ismoe', 'resident-bytes')).toBeLessThan(ratio('ismoe', 'resident-bytes'));
});
