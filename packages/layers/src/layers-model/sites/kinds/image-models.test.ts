import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/wasm-training';
import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, loadPeft, trainer, upgrade} from '../../../graph.js';
import {NODES} from '../../../graph-model/testing/nodes.js';
import {memory} from '../../../graph-model/testing/run.js';
import {normal, reloaded} from '../../../testing/sites.js';

const most = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

/** Down by a separable convolution and up by a transposed one, as a U-Net. */
function unet(): tf.LayersModel {
  const input = tf.input({shape: [8, 8, 3]});
  const down = tf.layers
    .separableConv2d({filters: 6, kernelSize: 3, padding: 'same', activation: 'relu', name: 'down'})
    .apply(input);
  const pooled = tf.layers.maxPooling2d({poolSize: 2}).apply(down);
  const up = tf.layers
    .conv2dTranspose({filters: 4, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu', name: 'up'})
    .apply(pooled);
  const both = tf.layers.concatenate().apply([down, up] as tf.SymbolicTensor[]);
  const outputs = tf.layers.conv2d({filters: 2, kernelSize: 1, name: 'out'}).apply(both) as tf.SymbolicTensor;
  return tf.model({inputs: input, outputs});
}

const ADAPTERS: AdapterConfig[] = [
  {type: 'lora', rank: 2},
  {type: 'molora', experts: 2, rank: 2},
  {type: 'mov', experts: 2},
  {type: 'lime', experts: 2},
];

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  test.each(ADAPTERS)(
    'a U-Net is unchanged by a fresh %j, trains, is saved and comes back',
    async (adapter) => {
      const model = unet();
      const x = normal([2, 8, 8, 3], 1);
      const before = model.predict(x) as tf.Tensor;
      const peft = await upgrade(model, {targets: 'all-projections', adapter, seed: 1});
      const kinds = peft.report().sites.map(({name, kind, status}) => [name, kind, status]);
      expect(kinds).toEqual([
        ['down', 'separableConv2d', 'adapted'],
        ['up', 'conv2dTranspose', 'adapted'],
        ['out', 'conv2d', 'adapted'],
      ]);
      expect(most(model.predict(x) as tf.Tensor, before)).toBeLessThan(1e-5);
      model.compile({optimizer: tf.train.adam(0.03), loss: 'meanSquaredError'});
      const {history} = await model.fit(x, tf.zerosLike(before), {epochs: 4, verbose: 0});
      expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
      const trained = await (model.predict(x) as tf.Tensor).data();
      const place = memory();
      await peft.save(place);
      const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
      expect(await (copy.predict(x) as tf.Tensor).data()).toEqual(trained);
      peft.detach();
      expect(most(model.predict(x) as tf.Tensor, before)).toBe(0);
      await loadPeft(model, place);
      expect(await (model.predict(x) as tf.Tensor).data()).toEqual(trained);
    },
  );

  test.each(ADAPTERS)('a graph with a transposed convolution trains with %j', async (adapter) => {
    const {build, x: make} =
      NODES['Conv2DBackpropInput of a shape that is computed, with bias and relu behind it']!;
    const model = await build().load();
    const x = make();
    const before = model.predict(x) as tf.Tensor;
    await upgrade(model, {targets: ['site'], adapter, seed: 1});
    expect(most(model.predict(x) as tf.Tensor, before)).toBeLessThan(1e-5);
    const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.05)});
    const ys = tf.add(tf.mul(before, 0.5), 0.3);
    const {history} = await training.fit({xs: x, ys}, {epochs: 5, verbose: 0, batchSize: 2});
    expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
    training.dispose();
  });
});
