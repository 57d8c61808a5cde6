import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {UnsupportedSiteError} from '@tfjs-peft/kernels';
import {type AdapterConfig, upgrade} from '../../index.js';
import {copy, expectUnchanged, fingerprint} from '../../testing/models.js';

const seeded = (seed: number) => tfl.initializers.randomNormal({stddev: 0.5, seed});

function model(): tfl.LayersModel {
  const layer = tfl.layers.gru({
    name: 'gru',
    units: 2,
    returnSequences: true,
    kernelInitializer: seeded(1),
    recurrentInitializer: seeded(2),
  });
  return tfl.sequential({
    layers: [
      tfl.layers.bidirectional({
        name: 'both',
        mergeMode: 'concat',
        layer: layer as never,
        inputShape: [3, 4],
      }),
    ],
  });
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

test.each([
  ['one direction', {targets: ['forward_gru']}],
  [
    'directions that differ',
    {targets: ['both'], overrides: [{targets: ['backward_gru'], adapter: {rank: 3}}]},
  ],
])('a Bidirectional with %s is refused and left alone', async (_what, config) => {
  const stock = model();
  const before = fingerprint(stock);
  const refused = upgrade(stock, {adapter: {type: 'lora', rank: 2}, ...config});
  await expect(refused).rejects.toThrow(UnsupportedSiteError);
  await expect(refused).rejects.toThrow(
    /'both\/forward_gru' would carry another adapter than 'backward_gru'/,
  );
  expectUnchanged(stock, before);
});

test('both directions are named by the Bidirectional, saved with it, and their routers’ losses reach fit', async () => {
  const adapter: AdapterConfig = {
    type: 'molora',
    experts: 2,
    rank: 1,
    router: {type: 'noisy-top-k', topK: 1, balance: 0.5},
  };
  const own = model();
  const peft = await upgrade(own, {adapter, targets: ['both'], seed: 1});
  expect(peft.report().sites.map(({name, status}) => [name, status])).toEqual([
    ['both/forward_gru', 'adapted'],
    ['both/backward_gru', 'adapted'],
  ]);
  own.compile({optimizer: tf.train.sgd(0), loss: 'meanSquaredError'});
  const x = tf.randomNormal([4, 3, 4], 0, 1, 'float32', 3);
  const y = own.predict(x) as tf.Tensor;
  const {history} = await own.fit(x, y, {epochs: 1, batchSize: 4, verbose: 0});
  const [loss] = history.loss as [number];
  const evaluated = (own.evaluate(x, y, {batchSize: 4}) as tf.Scalar).dataSync()[0]!;
  // Balance alone: 0.5 times at least 1, for each direction.
  expect(loss - evaluated).toBeGreaterThan(0.9);
  for (const [i, variable] of peft.trainableVariables().entries()) {
    variable.assign(tf.randomNormal(variable.shape, 0, 0.5, 'float32', i));
  }
  const again = await copy(own);
  expect((again.predict(x) as tf.Tensor).dataSync()).toEqual((own.predict(x) as tf.Tensor).dataSync());
  expect(again.trainableWeights).toHaveLength(own.trainableWeights.length);
});
