import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/wasm-training';
import * as tf from '@tensorflow/tfjs';
import {ConfigError, ShapeError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {
  AdaptedSite,
  type AdapterConfig,
  countTrainable,
  createAdapter,
  type LimePromptConfig,
  PeftWrapper,
} from '../../../index.js';
import {softmax} from '../../../testing/double.js';
import {disturb, normal, reloaded} from '../../../testing/sites.js';

const WIDTH = 6;
const IDS = [
  [3, 1, 4, 0],
  [1, 5, 0, 0],
];

function lime(over: Omit<LimePromptConfig, 'type'> = {}, more: object = {}): AdapterConfig {
  const router = {type: 'fixed', gates: [0.25, 0.75]};
  const config = {
    type: 'lime',
    experts: 2,
    over: {type: 'prompt', virtualTokens: 3, ...over},
    router,
    ...more,
  };
  return config as unknown as AdapterConfig;
}

function embedding(config?: AdapterConfig): PeftWrapper {
  const embeddingsInitializer = tf.initializers.randomNormal({stddev: 0.5, seed: 2});
  const layer = tf.layers.embedding({inputDim: 7, outputDim: WIDTH, maskZero: true, embeddingsInitializer});
  layer.apply(tf.input({shape: [null]}));
  const wrapper = PeftWrapper.standIn(layer);
  if (config !== undefined) {
    wrapper.addAdapter('default', config, 4);
    wrapper.activate('default');
    disturb(wrapper, 'default');
  }
  return wrapper;
}

const ids = () => tf.tensor2d(IDS, [2, 4], 'int32');

describe.each(['cpu', 'wasm'])('a prompt on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  it('goes before the tokens, which stay as they are, and has the formula z + d ∘ (Σ g p + γ p_s)', () => {
    const layer = embedding(lime());
    const y = layer.call(ids(), {}) as tf.Tensor3D;
    expect(y.shape).toEqual([2, 7, WIDTH]);
    const stock = layer.stock.call(ids(), {}) as tf.Tensor3D;
    expect(tf.slice(y, [0, 3, 0]).arraySync()).toEqual(stock.arraySync());
    const read = (name: string) =>
      layer.adapterWeights('default').get(name)!.read().arraySync() as number[][];
    const [base, delta, p] = ['prompt_base', 'prompt_delta', 'modulators'].map(read);
    const shared = read('shared_modulator') as unknown as number[];
    const [gamma] = read('gamma') as unknown as [number];
    const got = y.arraySync();
    for (const sample of got) {
      for (let v = 0; v < 3; v++) {
        for (let j = 0; j < WIDTH; j++) {
          const factor = 0.25 * p![0]![j]! + 0.75 * p![1]![j]! + gamma * shared[j]!;
          expect(sample[v]![j]).toBeCloseTo(base![v]![j]! + delta![v]![j]! * factor, 5);
        }
      }
    }
  });

  it.each(['mean', 'first', 'last', 'attention', 'none'] as const)(
    'is routed by the %s of the tokens that are none of padding',
    (conditioning) => {
      let seen: tf.Tensor | undefined;
      const layer = embedding(lime({conditioning, inputProjection: true}, {router: {type: 'softmax'}}));
      layer.usage = {add: ({gates}: {gates: tf.Tensor}) => (seen = tf.keep(tf.clone(gates)))} as never;
      layer.call(ids(), {});
      const vectors = (layer.stock.call(ids(), {}) as tf.Tensor3D).arraySync();
      const chosen = vectors.map((rows, sample) => {
        const real = rows.filter((_, place) => IDS[sample]![place] !== 0);
        if (conditioning === 'none') return rows[0]!.map(() => 0);
        if (conditioning === 'first') return rows[0]!;
        if (conditioning === 'last') return real.at(-1)!;
        if (conditioning === 'attention') {
          const query = rows[0]!.map((_, j) => rows.reduce((sum, row) => sum + row[j]! / rows.length, 0));
          const weights = softmax(
            real.map((row) => row.reduce((sum, value, j) => sum + value * query[j]!, 0)),
          );
          return rows[0]!.map((_, j) => real.reduce((sum, row, i) => sum + row[j]! * weights[i]!, 0));
        }
        return rows[0]!.map((_, j) => real.reduce((sum, row) => sum + row[j]!, 0) / real.length);
      });
      const weight = (name: string) => layer.adapterWeights('default').get(name)!.read() as tf.Tensor2D;
      const mapped = tf.matMul(tf.tensor2d(chosen), weight('input_projection'));
      const streams = tf.add(tf.expandDims(weight('prompt_base'), 0), tf.expandDims(mapped, 1));
      const want = tf.softmax(tf.matMul(tf.reshape(streams, [-1, WIDTH]) as tf.Tensor2D, weight('router')));
      expect(tf.max(tf.abs(tf.sub(tf.reshape(seen!, [-1, 2]), want))).dataSync()[0]).toBeLessThan(1e-6);
      seen!.dispose();
    },
  );

  it.each([
    lime({learnableBase: true, inputProjection: true, conditioning: 'last'}, {router: {type: 'softmax'}}),
    lime({inputProjection: true, conditioning: 'attention'}, {router: {type: 'softmax'}}),
    lime({}, {form: 'code', router: {type: 'zero', nGram: 2}}),
  ])('has gradients that agree with differences, %j', (config) => {
    const layer = embedding(config);
    const forward = () => layer.call(ids(), {training: true}) as tf.Tensor;
    const cotangent = normal(forward().shape, 3);
    const weights = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
    expect(weights.length).toBeGreaterThan(3);
    const {grads} = tf.variableGrads(() => tf.sum(tf.mul(forward(), cotangent)) as tf.Scalar, weights);
    const loss = () => {
      const [y, factors] = [forward().dataSync(), cotangent.dataSync()];
      return Array.from(y).reduce((sum, value, i) => sum + value * factors[i]!, 0);
    };
    for (const variable of weights) {
      const start = tf.keep(tf.clone(variable));
      const direction = normal(variable.shape, 9);
      const at = (step: number) => {
        variable.assign(tf.add(start, tf.mul(direction, step)) as tf.Tensor);
        return loss();
      };
      const want = (at(0.004) - at(-0.004)) / 0.008;
      variable.assign(start);
      const got = tf.sum(tf.mul(grads[variable.name]!, direction)).dataSync()[0]!;
      const size = Math.max(1, Math.abs(want));
      expect([variable.name, got / size]).toEqual([variable.name, expect.closeTo(want / size, 2.3)]);
    }
  });

  it('extends the mask, is trained, and comes back with the saved model', async () => {
    const layer = embedding(lime({}, {router: {type: 'zero'}}));
    const model = tf.sequential();
    const config = layer.getConfig();
    const fresh = PeftWrapper.fromConfig(
      PeftWrapper as never,
      {...config, batchInputShape: [null, null]} as never,
    ) as PeftWrapper;
    model.add(fresh);
    model.add(tf.layers.lstm({units: 3, kernelInitializer: tf.initializers.glorotNormal({seed: 1})}));
    model.add(tf.layers.dense({units: 1, kernelInitializer: tf.initializers.glorotNormal({seed: 2})}));
    const mask = fresh.computeMask(ids()) as tf.Tensor;
    expect(mask.arraySync()).toEqual([
      [1, 1, 1, 1, 1, 1, 0],
      [1, 1, 1, 1, 1, 0, 0],
    ]);
    expect(fresh.computeOutputShape([null, 4])).toEqual([null, 7, WIDTH]);
    // Padding is nothing to the layers behind: its id may be followed by any number of its kind.
    const y = model.predict(ids()) as tf.Tensor;
    const longer = model.predict(
      tf.pad(ids(), [
        [0, 0],
        [0, 2],
      ]),
    ) as tf.Tensor;
    longer.dataSync().forEach((value, i) => {
      expect(value).toBeCloseTo(y.dataSync()[i]!, 5);
    });
    model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const {history} = await model.fit(ids(), tf.tensor2d([[1], [-1]]), {epochs: 8, verbose: 0});
    expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
    const {copy} = await reloaded(model, (handler) => tf.loadLayersModel(handler));
    expect((copy.predict(ids()) as tf.Tensor).arraySync()).toEqual(
      (model.predict(ids()) as tf.Tensor).arraySync(),
    );
  });
});

describe('a prompt', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('is the same API without a layer: an operation that gives the embedded tokens', () => {
    const site = new AdaptedSite(
      {
        dims: {inputDim: WIDTH, outputDim: WIDTH, kind: 'lookup'},
        frozen: {kernel: tf.eye(WIDTH)},
        base: (x) => x,
      },
      () => 'The site',
    );
    site.build({prefix: 'site/', entered: false});
    site.add('default', lime());
    site.activate('default');
    expect(site.apply(tf.ones([2, 5, WIDTH])).shape).toEqual([2, 8, WIDTH]);
    expect(() => site.apply(tf.ones([2, WIDTH]))).toThrow(ShapeError);
  });

  it('is refused where tokens are not looked up', () => {
    const dense = new PeftWrapper({layer: tf.layers.dense({units: 4, name: 'dense_x'})});
    dense.build([null, 3]);
    expect(() => dense.addAdapter('default', lime())).toThrow(UnsupportedSiteError);
    expect(() => dense.addAdapter('default', lime())).toThrow(/Layer 'dense_x'.*needs an Embedding/);
  });

  it.each<[object, RegExp]>([
    [{virtualTokens: 0}, /virtualTokens is 0/],
    [{conditioning: 'max'}, /conditioning is 'max'.*'none', 'mean', 'first', 'last', 'attention'/],
    [{rank: 2}, /rank/],
  ])('refuses %p', (over, message) => {
    expect(() => createAdapter(lime(over))).toThrow(ConfigError);
    expect(() => createAdapter(lime(over))).toThrow(message);
  });

  it('starts with a change of zero and a projection that is the identity', () => {
    const layer = new PeftWrapper({layer: tf.layers.embedding({inputDim: 4, outputDim: WIDTH})});
    layer.addAdapter('default', lime({inputProjection: true}));
    layer.build([null, 2]);
    const read = (name: string) => layer.adapterWeights('default').get(name)!.read();
    expect(tf.max(tf.abs(read('prompt_delta'))).dataSync()[0]).toBe(0);
    expect(read('input_projection').arraySync()).toEqual(tf.eye(WIDTH).arraySync());
  });

  it('trains as many parameters as the paper, the shipped options and the class defaults of the code', () => {
    const dims = {inputDim: 100, outputDim: 3584, kind: 'lookup'} as const;
    const count = (over: Omit<LimePromptConfig, 'type'>) =>
      countTrainable({type: 'lime', experts: 4, over: {type: 'prompt', ...over}}, dims);
    expect(count({learnableBase: true})).toBe(89_601);
    expect(count({})).toBe(53_761);
    expect(count({inputProjection: true})).toBe(12_898_817);
  });
});
