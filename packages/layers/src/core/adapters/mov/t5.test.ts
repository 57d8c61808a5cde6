import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {upgrade} from '../../../index.js';
import {normal} from '../../../testing/sites.js';

const [WIDTH, HEADS, HIDDEN, EXPERTS] = [8, 4, 12, 3];

/** The three sites of a T5 block: keys, values, and the gated feed-forward's activated half. */
function block(): tf.LayersModel {
  const dense = (name: string, units: number, seed: number, activation?: string) =>
    tf.layers.dense({
      name,
      units,
      useBias: false,
      kernelInitializer: tf.initializers.randomNormal({stddev: 0.5, seed}),
      ...(activation && {activation: activation as never}),
    });
  const apply = (layer: tf.layers.Layer, on: unknown) => layer.apply(on as never) as tf.SymbolicTensor;
  const x = tf.input({shape: [5, WIDTH]});
  const gated = apply(tf.layers.multiply(), [
    apply(dense('wi_0', HIDDEN, 3, 'gelu_new'), x),
    apply(dense('wi_1', HIDDEN, 4), x),
  ]);
  return tf.model({
    inputs: x,
    outputs: [apply(dense('key', WIDTH, 1), x), apply(dense('value', WIDTH, 2), x), gated],
  });
}

test('MoV as released is expressible at T5’s keys and values, head by head, and at the hidden vector', async () => {
  await tf.setBackend('cpu');
  const model = block();
  const x = normal([2, 5, WIDTH], 1);
  const stock = model.predict(x) as tf.Tensor[];
  const peft = await upgrade(model, {
    targets: ['key', 'value', 'wi_0'],
    adapter: {type: 'mov', experts: EXPERTS, form: 'code'},
    overrides: [{targets: ['key', 'value'], adapter: {heads: HEADS}}],
    seed: 2,
  });
  const size = WIDTH / HEADS;
  // Keys and values: [heads, E, kv] vectors and one router [kv, E] for all heads;
  // feed-forward: [E, d_ff] and [d_ff, E].
  const attention = HEADS * EXPERTS * size + size * EXPERTS;
  expect(peft.report().trainable).toBe(2 * attention + 2 * EXPERTS * HIDDEN);

  for (const [i, variable] of peft.trainableVariables().entries()) {
    variable.assign(tf.add(variable, normal(variable.shape, 20 + i)) as tf.Tensor);
  }
  const weight = (layer: string, name: string) =>
    tf.tensor2d(
      model
        .getLayer(layer)
        .weights.find(({originalName}) => originalName === `${layer}/default/${name}`)!
        .read()
        .arraySync() as number[][],
    );
  const [key, value, gated] = model.predict(x) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const close = (got: tf.Tensor, want: tf.Tensor) =>
    expect(tf.max(tf.abs(tf.sub(got, tf.reshape(want, got.shape)))).dataSync()[0]).toBeLessThan(1e-5);

  for (const [name, got, base] of [
    ['key', key, stock[0]!],
    ['value', value, stock[1]!],
  ] as const) {
    const table = weight(name, 'scaling');
    const columns = tf.split(tf.reshape(base, [-1, WIDTH]), HEADS, 1);
    const scaled = columns.map((head, h) => {
      const gates = tf.softmax(tf.matMul(head as tf.Tensor2D, weight(name, 'router')));
      return tf.mul(head, tf.matMul(gates, tf.slice(table, [0, h * size], [EXPERTS, size])));
    });
    close(got, tf.concat(scaled, 1));
  }

  const kernel = (name: string) => model.getLayer(name).weights[0]!.read() as tf.Tensor2D;
  const rows = tf.reshape(x, [-1, WIDTH]) as tf.Tensor2D;
  const u = tf.layers
    .activation({activation: 'gelu_new' as never})
    .call(tf.matMul(rows, baseOf(model, 'wi_0')), {}) as tf.Tensor2D;
  const gates = tf.softmax(tf.matMul(u, weight('wi_0', 'router')));
  const scaled = tf.mul(u, tf.matMul(gates, weight('wi_0', 'scaling')));
  close(gated, tf.mul(scaled, tf.matMul(rows, kernel('wi_1'))));
});

/** The frozen kernel of an adapted layer, whose own list of weights begins with what is trained. */
function baseOf(model: tf.LayersModel, layer: string): tf.Tensor2D {
  return model
    .getLayer(layer)
    .weights.find(({originalName}) => originalName === `${layer}/kernel`)!
    .read() as tf.Tensor2D;
}
