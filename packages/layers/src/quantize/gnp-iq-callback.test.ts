import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import '@tfjs-peft/kernels/wasm-training';
import * as tf from '@tensorflow/tfjs';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import {trainer, upgrade} from '../graph.js';
import {GraphBuilder} from '../graph-model/testing/builder.js';
import {memory} from '../graph-model/testing/run.js';
import {dequantizeModel, type GnpIqEvent, gnpIqCallback, quantizeModel} from '../quantize.js';
import {attachSideNetwork} from '../side.js';
import {dense} from '../testing/models.js';
import {normal} from '../testing/sites.js';

const model = () =>
  tf.sequential({
    layers: [
      tf.layers.dense({
        name: 'in',
        units: 24,
        inputShape: [40],
        kernelInitializer: tf.initializers.randomNormal({seed: 1}),
      }),
      dense('hidden', 24, 2, {activation: 'relu'}),
      dense('head', 3, 3),
    ],
  });

async function file(of: tf.LayersModel): Promise<tf.io.IOHandler> {
  const place = memory();
  await of.save(place);
  return {load: place.load};
}

/** Mean squared distance of a model's kernels from those of another. */
function distance(a: tf.LayersModel, b: tf.LayersModel, names: readonly string[]): number {
  const values = (of: tf.LayersModel, name: string) =>
    of.getLayer(name).getWeights()[0]!.dataSync<'float32'>();
  const errors = names.map((name) => {
    const [p, q] = [values(a, name), values(b, name)];
    return p.reduce((sum, value, i) => sum + (value - q[i]!) ** 2, 0) / p.length;
  });
  return errors.reduce((sum, error) => sum + error, 0) / names.length;
}

const NAMES = ['in', 'hidden'];

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  test('events bring the codes closer to the originals while adapters train, and none follows the last epoch', async () => {
    const [plain, quantised] = [model(), model()];
    const originals = await file(plain);
    await quantizeModel(quantised, {format: {type: 'int3', group: 'channel'}, targets: NAMES});
    const nearest = distance(quantised, plain, NAMES);
    const peft = await upgrade(quantised, {targets: NAMES, adapter: {type: 'lora', rank: 2}, seed: 1});
    quantised.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});
    const events: GnpIqEvent[] = [];
    const callback = await gnpIqCallback(quantised, {
      format: {type: 'int3', group: 'channel'},
      ...{originals, codesFrom: 'base', every: 2, seed: 5},
      onEvent: (event) => events.push(event),
    });
    const [x, y] = [normal([16, 40], 1), normal([16, 3], 2)];
    const {history} = await quantised.fit(x, y, {epochs: 8, batchSize: 8, verbose: 0, callbacks: callback});
    expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
    expect(events.map(({epoch}) => epoch)).toEqual([2, 4, 6]);
    for (const {layers} of events) expect(layers.map(({layer}) => layer)).toEqual(NAMES);
    expect(events[0]!.layers[0]!.drawn).toBe(24);
    expect(events.flatMap(({layers}) => layers).some(({accepted}) => accepted > 0)).toBe(true);
    peft.disable();
    const now = distance(quantised, plain, NAMES);
    expect(now).toBeLessThan(nearest * 0.99);
    const said = events.at(-1)!.layers.reduce((sum, {error}) => sum + error, 0) / NAMES.length;
    expect(now).toBeCloseTo(said, 6);
  });

  test('the same seed gives the same codes, and another seed others', async () => {
    const run = async (seed: number) => {
      const quantised = model();
      const originals = await file(quantised);
      await quantizeModel(quantised, {format: 'int4', targets: NAMES});
      quantised.compile({optimizer: tf.train.sgd(0.01), loss: 'meanSquaredError'});
      const callback = await gnpIqCallback(quantised, {
        format: 'int4',
        originals,
        codesFrom: 'base',
        share: 0.5,
        seed,
      });
      await quantised.fit(normal([8, 40], 1), normal([8, 3], 2), {
        epochs: 4,
        verbose: 0,
        callbacks: callback,
      });
      return quantised.getLayer('hidden').getWeights()[0]!.dataSync();
    };
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  test('beside a side network', async () => {
    const [plain, quantised] = [model(), model()];
    const originals = await file(plain);
    await quantizeModel(quantised, {format: 'int3', targets: NAMES});
    const nearest = distance(quantised, plain, NAMES);
    const side = await attachSideNetwork(quantised, {taps: NAMES, reduction: 4, seed: 1});
    quantised.compile({optimizer: tf.train.adam(0.01), loss: 'meanSquaredError'});
    const callback = await gnpIqCallback(quantised, {format: 'int3', originals, codesFrom: 'base'});
    const [x, y] = [normal([16, 40], 1), normal([16, 3], 2)];
    await quantised.fit(x, y, {epochs: 6, verbose: 0, callbacks: callback});
    expect(distance(quantised, plain, NAMES)).toBeLessThan(nearest);
    side.remove();
  });

  test('in a GraphModel, where a weight lies transposed', async () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 6]);
    graph.weight('w', [9, 6]);
    graph.weight('v', [9, 4]);
    graph.node('MatMul', 'first', ['x', 'w'], {transpose_a: false, transpose_b: true});
    graph.output(graph.node('MatMul', 'second', ['first', 'v'], {transpose_a: false, transpose_b: false}));
    const plain = await graph.load();
    const place = memory();
    await plain.save(place);
    const quantised = await loadGraphModel(place);
    await quantizeModel(quantised, {format: 'int3'});
    const x = normal([8, 6], 3);
    const error = () => {
      const difference = tf.sub(quantised.predict(x) as tf.Tensor, plain.predict(x) as tf.Tensor);
      return tf.mean(tf.square(difference)).dataSync()[0]!;
    };
    const nearest = error();
    await upgrade(quantised, {adapter: {type: 'lora', rank: 2}, seed: 1});
    const training = trainer(quantised, {loss: 'meanSquaredError', optimizer: tf.train.sgd(1e-12)});
    const callback = await gnpIqCallback(quantised, {
      format: 'int3',
      originals: {load: place.load},
      codesFrom: 'base',
    });
    await training.fit(
      {xs: x, ys: normal([8, 4], 4)},
      {epochs: 12, batchSize: 8, callbacks: callback, verbose: 0},
    );
    training.dispose();
    expect(error()).not.toBe(nearest);
    // The originals themselves, at 16 bits: nothing is mixed up.
    await quantizeModel(quantised, {format: 'f16', originals: {load: place.load}});
    expect(error()).toBeLessThan(nearest / 100);
  });
});

describe('refused', () => {
  beforeAll(() => tf.setBackend('cpu'));

  test('what has no quantised weights, no originals, other ones, or options that do not exist', async () => {
    const base = model();
    const originals = await file(base);
    await expect(gnpIqCallback(base, {format: 'int4', originals})).rejects.toThrow(
      /has no quantised weights/,
    );
    await quantizeModel(base, {format: 'int4', targets: NAMES});
    await expect(gnpIqCallback(base, {format: 'int4'} as never)).rejects.toThrow(/originals is missing/);
    await expect(gnpIqCallback(base, {originals} as never)).rejects.toThrow(/format is missing/);
    await expect(gnpIqCallback(base, {format: 'int8', originals})).rejects.toThrow(
      /was not quantised in .*int8.*4 bits/,
    );
    await expect(gnpIqCallback(base, {format: 'int4', originals, every: 0})).rejects.toThrow(/every is 0/);
    await expect(gnpIqCallback(base, {format: 'int4', originals, draws: 3} as never)).rejects.toThrow(
      /draws/,
    );
    await expect(gnpIqCallback(base, {format: 'int4', originals, onEvent: 7 as never})).rejects.toThrow(
      /onEvent is 7/,
    );
    const other = await file(tf.sequential({layers: [dense('in', 24, 1, {inputShape: [41]})]}));
    await expect(gnpIqCallback(base, {format: 'int4', originals: other})).rejects.toThrow(
      /the originals have \[41,24\] of float32 for 'in\/kernel', a float32 \[40,24\]/,
    );
    await expect(quantizeModel(base, {format: 'int4', originals: other})).rejects.toThrow(
      /the originals have/,
    );
  });

  test('quantising anew works from the originals, and not without them', async () => {
    const [plain, base] = [model(), model()];
    await quantizeModel(base, {format: 'int2', targets: NAMES});
    await expect(quantizeModel(base, {format: 'int8', targets: NAMES})).rejects.toThrow(
      /is quantised already/,
    );
    const coarse = distance(base, plain, NAMES);
    await quantizeModel(base, {format: 'int8', targets: NAMES, originals: await file(plain)});
    expect(distance(base, plain, NAMES)).toBeLessThan(coarse / 1000);
    await dequantizeModel(base);
  });
});
