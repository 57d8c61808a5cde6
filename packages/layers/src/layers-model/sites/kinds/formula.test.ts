import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import * as tf from '@tensorflow/tfjs';
import {tensorDeviation} from '@tfjs-peft/testing/compare';
import type {AdapterConfig, AdapterRouterConfig} from '../../../index.js';
import {inputOf, SITE_CASES, type SiteCase, standIn} from '../../../testing/layer-sites.js';
import {disturb, normal} from '../../../testing/sites.js';
import {PeftWrapper} from '../peft-wrapper.js';

/** Which of a stock layer's weights is the kernel that the site acts on. */
const kernelOf = (stock: tf.layers.Layer) =>
  stock.weights.find(({originalName}) => /\/(kernel|pointwise_kernel|embeddings)$/.test(originalName))!;

/** The stock layer with a changed kernel: what an adapter comes to that changes the kernel. */
function changed(
  stock: tf.layers.Layer,
  {order}: SiteCase,
  x: tf.Tensor,
  change: (kernel: tf.Tensor2D) => tf.Tensor,
): tf.Tensor {
  const kernel = kernelOf(stock);
  const before = tf.clone(kernel.read());
  const inOrder = order === undefined ? before : tf.transpose(before, order);
  const after = tf.reshape(change(tf.reshape(inOrder, [-1, inOrder.shape.at(-1)!])), inOrder.shape);
  // Each order that is tried is its own inverse.
  kernel.write(order === undefined ? after : tf.transpose(after, order));
  const y = stock.call(x, {}) as tf.Tensor;
  kernel.write(before);
  return y;
}

const projections = SITE_CASES.filter(({scaling}) => !scaling);

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  const weightsOf = (layer: PeftWrapper) => {
    const weights = layer.adapterWeights('default');
    return (name: string) => weights.get(name)!.read() as tf.Tensor2D;
  };

  test.each(SITE_CASES)('a $name is the stock layer, bit for bit, with no active adapter', async (site) => {
    const {stock, layer} = standIn(site, {type: 'ia3'});
    disturb(layer, 'default');
    const x = inputOf(site);
    const want = await (stock.call(x, {}) as tf.Tensor).data();
    expect(await (layer.call(x, {}) as tf.Tensor).data()).not.toEqual(want);
    layer.activate(null);
    expect(await (layer.call(x, {}) as tf.Tensor).data()).toEqual(want);
  });

  test.each(projections)('LoRA at a $name is the stock layer with the kernel W + s A B', async (site) => {
    const {stock, layer} = standIn(site, {type: 'lora', rank: 2, alpha: 3});
    disturb(layer, 'default');
    const [x, weight] = [inputOf(site), weightsOf(layer)];
    const want = changed(stock, site, x, (kernel) =>
      tf.add(kernel, tf.mul(tf.matMul(weight('lora_A'), weight('lora_B')), 1.5)),
    );
    expect(tensorDeviation(layer.call(x, {}) as tf.Tensor, want)).toBeLessThan(3e-6);
  });

  test.each(projections)(
    'DoRA at a $name is the stock layer with columns of the learned norms',
    async (site) => {
      const {stock, layer} = standIn(site, {type: 'dora', rank: 2, alpha: 2});
      disturb(layer, 'default');
      const [x, weight] = [inputOf(site), weightsOf(layer)];
      const want = changed(stock, site, x, (kernel) => {
        const moved = tf.add(kernel, tf.matMul(weight('lora_A'), weight('lora_B')));
        return tf.mul(moved, tf.div(weight('magnitude'), tf.norm(moved, 2, 0)));
      });
      expect(tensorDeviation(layer.call(x, {}) as tf.Tensor, want)).toBeLessThan(1e-5);
    },
  );

  test.each(projections)('MoLoRA at a $name with fixed gates is the sum of its experts', async (site) => {
    const router: AdapterRouterConfig = {type: 'fixed', gates: [0.2, 0.5]};
    const {stock, layer} = standIn(site, {type: 'molora', experts: 2, rank: 2, alpha: 2, router});
    disturb(layer, 'default');
    const [x, weight] = [inputOf(site), weightsOf(layer)];
    const gates = tf.tensor2d([0.2, 0.2, 0.5, 0.5], [4, 1]);
    const want = changed(stock, site, x, (kernel) =>
      tf.add(kernel, tf.matMul(weight('lora_A'), tf.mul(gates, weight('lora_B')) as tf.Tensor2D)),
    );
    expect(tensorDeviation(layer.call(x, {}) as tf.Tensor, want)).toBeLessThan(3e-6);
  });

  const images: (SiteCase & {window: number[]; strides: number[]; dilation: number; same: boolean})[] = [
    {window: [3, 3], strides: [1, 1], dilation: 1, same: false},
    {window: [3, 2], strides: [2, 1], dilation: 1, same: true},
    {window: [2, 2], strides: [1, 1], dilation: 2, same: false},
    {window: [3, 2], strides: [1, 1], dilation: 2, same: true},
    {window: [1, 1], strides: [2, 2], dilation: 1, same: false},
  ].map((form) => ({
    ...form,
    name: JSON.stringify(form),
    inputShape: [5, 4, 3],
    make: () =>
      tf.layers.conv2d({
        filters: 4,
        kernelSize: form.window,
        strides: form.strides as [number, number],
        dilationRate: form.dilation as never,
        padding: form.same ? 'same' : 'valid',
      }),
  }));

  test.each(images)('routers of a conv2d see the mean over each window, $name', async (site) => {
    const {layer} = standIn(site);
    const x = inputOf(site) as tf.Tensor4D;
    const values = await x.array();
    const {window, strides, dilation, same} = site;
    // By its definition, the paddings as TensorFlow has them: the smaller half comes first.
    const axis = (i: number, length: number) => {
      const reach = (window[i]! - 1) * dilation + 1;
      const count = same ? Math.ceil(length / strides[i]!) : Math.floor((length - reach) / strides[i]!) + 1;
      const pad = same ? Math.floor(Math.max(0, (count - 1) * strides[i]! + reach - length) / 2) : 0;
      return Array.from({length: count}, (_, at) =>
        Array.from({length: window[i]!}, (_, tap) => at * strides[i]! - pad + tap * dilation).filter(
          (place) => place >= 0 && place < length,
        ),
      );
    };
    const want = values.map((image) =>
      axis(0, 5).map((rows) =>
        axis(1, 4).map((places) =>
          [0, 1, 2].map((channel) => {
            const taken = rows.flatMap((row) => places.map((place) => image[row]![place]![channel]!));
            return taken.reduce((sum, value) => sum + value, 0) / taken.length;
          }),
        ),
      ),
    );
    let seen: tf.Tensor | undefined;
    layer.addAdapter('default', {type: 'molora', experts: 2, rank: 1});
    layer.activate('default');
    const kernel = layer.adapterWeights('default').get('router')!;
    kernel.write(normal(kernel.shape as number[], 3));
    layer.usage = {add: ({gates}: {gates: tf.Tensor}) => (seen = tf.keep(tf.clone(gates)))} as never;
    layer.call(x, {});
    const means = tf.tensor(want);
    const logits = tf.matMul(means.reshape([-1, 3]), kernel.read() as tf.Tensor2D);
    expect(tensorDeviation(seen!, tf.softmax(logits).reshape(seen!.shape))).toBeLessThan(2e-6);
    seen!.dispose();
  });
});

describe('configs', () => {
  test.each([
    {type: 'lora', rank: 3},
    {type: 'molora', experts: 2, rank: 3},
  ] satisfies AdapterConfig[])(
    '$type starts at an Embedding with A at zero and B at random',
    async (config) => {
      await tf.setBackend('cpu');
      const layer = new PeftWrapper({layer: tf.layers.embedding({inputDim: 50, outputDim: 400})});
      layer.addAdapter('default', config, 2);
      layer.build([null, 3]);
      const weights = layer.adapterWeights('default');
      expect(tf.max(tf.abs(weights.get('lora_A')!.read())).dataSync()[0]).toBe(0);
      const {mean, variance} = tf.moments(weights.get('lora_B')!.read());
      expect(Math.abs(mean.dataSync()[0]!)).toBeLessThan(0.15);
      expect(Math.abs(variance.dataSync()[0]! - 1)).toBeLessThan(0.2);
    },
  );

  test('LiME in the released form acts at an Embedding on the vector that was looked up', async () => {
    await tf.setBackend('cpu');
    const site = SITE_CASES.find(({name}) => name === 'embedding')!;
    const router: AdapterRouterConfig = {type: 'fixed', gates: [0.25, 0.75]};
    const over = {type: 'lora', rank: 2, alpha: 4} as const;
    const {stock, layer} = standIn(site, {type: 'lime', experts: 2, form: 'code', over, router});
    disturb(layer, 'default');
    const weight = (name: string) => layer.adapterWeights('default').get(name)!.read() as tf.Tensor2D;
    expect([weight('lora_A').shape, weight('lora_B').shape]).toEqual([
      [6, 2],
      [2, 6],
    ]);
    const x = inputOf(site);
    const z = stock.call(x, {}) as tf.Tensor;
    const rows = tf.reshape(z, [-1, 6]) as tf.Tensor2D;
    const change = tf.mul(tf.matMul(tf.matMul(rows, weight('lora_A')), weight('lora_B')), 2);
    const mixed = tf.matMul(tf.tensor2d([[0.25, 0.75]]), weight('modulators'));
    const factors = tf.add(mixed, tf.mul(weight('gamma'), weight('shared_modulator')));
    const want = tf.add(z, tf.reshape(tf.mul(change, factors), z.shape));
    expect(tensorDeviation(layer.call(x, {}) as tf.Tensor, want)).toBeLessThan(3e-6);
  });
});
