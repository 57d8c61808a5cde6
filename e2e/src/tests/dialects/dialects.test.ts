import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
// After tfjs, which registers its own gradients when it is loaded.
import '@tfjs-peft/kernels/gradients';
// For its Einsum, which the wasm backend lacks.
import '@tfjs-peft/kernels/wasm-training';
import {type Peft, trainer, upgrade} from '@tfjs-peft/layers/graph';
import {normalizeArtifacts} from '@tfjs-peft/layers/repair';
import {DIALECTS, type Dialect, type EncoderOptions, writeEncoder} from './encoder.js';
import {SMALL} from './encoder-weights.js';
import {referenceMean} from './reference.js';

const IDS = [
  [1, 2, 3, 4, 5, 6],
  [7, 8, 9, 10, 0, 0],
  [11, 12, 0, 0, 0, 0],
];
const MASK = IDS.map((row) => row.map((id) => Number(id > 0)));
const TYPES = IDS.map((row) => row.map((_, i) => Number(i > 2)));

const BACKENDS = ['cpu', 'wasm'];

beforeEach(() => {
  tf.engine().startScope();
});

afterEach(() => {
  tf.engine().endScope();
  tf.disposeVariables();
});

function load(options: EncoderOptions): Promise<tf.GraphModel> {
  return tf.loadGraphModel(normalizeArtifacts(writeEncoder(options)));
}

function inputs(): [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D] {
  return [IDS, MASK, TYPES].map((rows) => tf.tensor2d(rows, [3, 6], 'int32')) as [
    tf.Tensor2D,
    tf.Tensor2D,
    tf.Tensor2D,
  ];
}

function pooled(model: tf.GraphModel): tf.Tensor2D {
  const [input_ids, attention_mask, token_type_ids] = inputs();
  return model.execute({input_ids, attention_mask, token_type_ids}, 'Identity_1') as tf.Tensor2D;
}

function difference(a: tf.Tensor, b: tf.Tensor | Float32Array): number {
  const other = b instanceof Float32Array ? b : (b.dataSync() as Float32Array);
  const values = a.dataSync() as Float32Array;
  expect(values.length).toBe(other.length);
  return values.reduce((worst, value, i) => {
    const distance = Math.abs(value - other[i]!);
    return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(worst, distance);
  }, 0);
}

/** The same numbers for the same site of every dialect: sites come in the order of the graph. */
function fill(peft: Peft<tf.GraphModel>): void {
  peft.trainableVariables().forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.randomUniform(variable.shape, -0.2, 0.2, 'float32', 100 + i)));
  });
}

const target = () => tf.randomUniform([3, SMALL.hidden], -1, 1, 'float32', 5);

function loss(model: tf.GraphModel): tf.Scalar {
  return tf.losses.meanSquaredError(target(), pooled(model)) as tf.Scalar;
}

/** What stands in a stored form of the weights, against float32. */
const STORED: [Exclude<EncoderOptions['quantization'], undefined>, number][] = [
  ['uint8', 0.2],
  ['uint16', 1e-3],
  ['float16', 5e-3],
];

describe.each(BACKENDS)('on %s', (backend) => {
  beforeEach(() => tf.setBackend(backend));

  describe.each(DIALECTS)('%s', (dialect) => {
    test('computes the encoder', async () => {
      const [ids, mask, types] = inputs();
      const expected = referenceMean(SMALL, 1, ids, mask, types);
      expect(difference(pooled(await load({dialect})), expected)).toBeLessThan(1e-5);
    });

    test('with GELU by tanh and the first token is the tensordot dialect', async () => {
      const options = {gelu: 'tanh', pooling: 'cls'} as const;
      const expected = pooled(await load({dialect: 'tensordot', ...options}));
      expect(difference(pooled(await load({dialect, ...options})), expected)).toBeLessThan(1e-5);
    });

    test.each(STORED)('stored as %s, masked by the lowest float, is near', async (quantization, near) => {
      const [ids, mask, types] = inputs();
      const stored = pooled(await load({dialect, masked: -3.4028234663852886e38, quantization}));
      expect(difference(stored, referenceMean(SMALL, 1, ids, mask, types))).toBeLessThan(near);
    });
  });
});

describe('upgraded', () => {
  /** Losses of the first steps, in every dialect and on every backend. */
  async function losses(backend: string, options: EncoderOptions): Promise<number[]> {
    await tf.setBackend(backend);
    const model = await load(options);
    const before = pooled(model);
    const peft = await upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}, seed: 1});
    expect(difference(pooled(model), before)).toBeLessThan(1e-6);
    fill(peft);
    const training = trainer(model, {
      outputs: 'Identity_1',
      loss: 'meanSquaredError',
      optimizer: tf.train.sgd(0.1),
    });
    const [input_ids, attention_mask, token_type_ids] = inputs();
    const data = {xs: {input_ids, attention_mask, token_type_ids}, ys: target()};
    const {history} = await training.fit(data, {epochs: 5, batchSize: 3, shuffle: false, verbose: 0});
    training.dispose();
    return history.loss as number[];
  }

  const expected = new Map<string, number[]>();
  const kinds: [name: string, options: Omit<EncoderOptions, 'dialect'>][] = [
    ['mean', {}],
    ['cls', {pooling: 'cls', gelu: 'tanh'}],
    ['uint8', {quantization: 'uint8'}],
    ['float16', {quantization: 'float16', masked: -3.4028234663852886e38}],
  ];

  for (const [name, options] of kinds) {
    test.each(BACKENDS.flatMap((backend) => DIALECTS.map((dialect) => [backend, dialect] as const)))(
      `${name}: trains on %s in %s with the same losses`,
      async (backend, dialect) => {
        const values = await losses(backend, {...options, dialect});
        if (!expected.has(name)) expected.set(name, values);
        expect(values.at(-1)).toBeLessThan(values[0]!);
        values.forEach((value, i) => {
          expect(Math.abs(value - expected.get(name)![i]!)).toBeLessThan(1e-4);
        });
      },
    );
  }

  test.each(BACKENDS.flatMap((backend) => DIALECTS.map((dialect) => [backend, dialect] as const)))(
    'has the gradients of finite differences on %s in %s',
    async (backend: string, dialect: Dialect) => {
      await tf.setBackend(backend);
      const model = await load({dialect, pooling: 'cls'});
      const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, seed: 1});
      fill(peft);
      const variables = peft.trainableVariables();
      const {grads} = tf.variableGrads(() => loss(model), variables);
      for (const variable of variables) {
        // Along the gradient, where the loss changes most: its slope there is the gradient's length.
        const gradient = grads[variable.name]!;
        const length = tf.norm(gradient).dataSync()[0]!;
        expect(length).toBeGreaterThan(1e-5);
        const direction = gradient.div(length);
        const at = variable.clone();
        const step = 0.01;
        const [ahead, behind] = [step, -step].map((distance) => {
          variable.assign(at.add(direction.mul(distance)));
          return loss(model).dataSync()[0]!;
        }) as [number, number];
        variable.assign(at);
        const slope = (ahead - behind) / (2 * step);
        expect(Math.abs(slope - length)).toBeLessThan(2e-2 * length + 1e-4);
      }
    },
  );

  test.each(
    BACKENDS.flatMap((backend) =>
      DIALECTS.flatMap((dialect) =>
        (['erf', 'tanh'] as const).map((gelu) => [backend, dialect, gelu] as const),
      ),
    ),
  )('trains on %s in %s with GELU by %s as its nodes do one by one', async (backend, dialect, gelu) => {
    await tf.setBackend(backend);
    const model = await load({dialect, gelu});
    const before = pooled(model);
    const peft = await upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}, seed: 1});
    fill(peft);
    const variables = peft.trainableVariables();
    const {grads: want} = tf.variableGrads(() => loss(model), variables);
    const [input_ids, attention_mask, token_type_ids] = inputs();
    const xs = {input_ids, attention_mask, token_type_ids};
    const training = trainer(model, {outputs: 'Identity_1'});
    expect(difference((await training.predict(xs)) as tf.Tensor, pooled(model))).toBeLessThan(1e-5);
    let grads: tf.NamedTensorMap = {};
    const {kernels} = await tf.profile(async () => {
      const lossOf = (y: tf.Tensor | tf.Tensor[]) =>
        tf.losses.meanSquaredError(target(), y as tf.Tensor) as tf.Scalar;
      grads = (await training.gradients(xs, lossOf)).grads;
      return [];
    });
    expect(kernels.filter(({name}) => name === 'PeftLayerNorm')).toHaveLength(2 * SMALL.layers);
    for (const {name} of variables) expect(difference(grads[name]!, want[name]!)).toBeLessThan(1e-5);
    training.dispose();
    peft.detach();
    expect(pooled(model).dataSync()).toEqual(before.dataSync());
  });
});
