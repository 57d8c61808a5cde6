import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, project, ShapeError} from '@tfjs-peft/kernels';
import {type AdapterConfig, createAdapter, type Mor1eConfig, PeftDense} from '../../../index.js';
import {type DoubleSite, describeAdapter} from '../../../testing/describe-adapter.js';
import {type Matrix, matrix, product, softmax} from '../../../testing/double.js';
import {normal} from '../../../testing/sites.js';

const sigmoid = (value: number) => 1 / (1 + Math.exp(-100 * value));

/** Σ_ij G_ij (x a_i) b_j by loops over the experts; `pairs` lists the vectors of each. */
function mixture(pairs: [number, number][], tokenFactor: number, scores: Matrix = []) {
  return ({x, z, act, weight}: DoubleSite): Matrix => {
    const [omega, gate] = ['omega', 'gate'].map((name) => sigmoid(weight(name)[0]![0]!)) as [number, number];
    const down = product(x, weight('lora_A'));
    const token = product(x, weight('router')).map(softmax);
    return act(
      z.map((row, n) =>
        row.map((value, j) => {
          const sum = pairs.reduce((total, [i, k], e) => {
            const intuition = scores.length === 0 ? 0 : 4 * (1 - omega) * scores[0]![e]!;
            const g = omega * tokenFactor * token[n]![e]! + intuition;
            return total + g * down[n]![i]! * weight('lora_B')[k]![j]!;
          }, 0);
          return value + gate * sum;
        }),
      ),
    );
  };
}

const flex = (r1: number, r2: number) =>
  Array.from({length: r1 * r2}, (_, e): [number, number] => [Math.floor(e / r2), e % r2]);

describeAdapter({type: 'mor1e', r1: 2, r2: 3, intuition: false}, mixture(flex(2, 3), 6));
describeAdapter({type: 'mor1e', r1: 3, r2: 1, intuition: false, tokenFactor: 32}, mixture(flex(3, 1), 32));
describeAdapter(
  {type: 'mor1e', mode: '1v1', rank: 3, intuition: false},
  mixture(
    [0, 1, 2].map((i) => [i, i]),
    3,
  ),
);

function site(config: Mor1eConfig, context?: tf.Tensor): PeftDense {
  const layer = new PeftDense({units: 4});
  layer.addAdapter('default', config, 1);
  layer.activate('default');
  layer.build([null, 3]);
  if (context !== undefined) layer.context = () => ({intuition: context});
  return layer;
}

describe('intuition', () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
  });

  it('joins the gates of all tokens of its sample', async () => {
    const scores = normal([2, 6], 4);
    const layer = site({type: 'mor1e', r1: 2, r2: 3}, scores);
    for (const [name, variable] of layer.adapterWeights('default')) {
      const scale = name === 'omega' || name === 'gate' ? 0.005 : 0.5;
      variable.write(tf.mul(normal(variable.shape as number[], 8), scale));
    }
    const x = normal([2, 3, 3], 5);
    const got = Array.from(await (layer.call(x, {}) as tf.Tensor).data());
    const values = async (tensor: tf.Tensor) => matrix(await tensor.data(), tensor.shape.at(-1)!);
    const weights = new Map<string, Matrix>();
    for (const [name, variable] of layer.adapterWeights('default'))
      weights.set(name, await values(variable.read()));
    const [kernel] = layer.base;
    const perSample = matrix(await scores.data(), 6);
    const rows = await values(x);
    const want = perSample.flatMap((row, sample) => {
      const own = rows.slice(3 * sample, 3 * sample + 3);
      return mixture(flex(2, 3), 6, [row])({
        x: own,
        z: product(own, matrix(kernel!.read().dataSync(), 4)),
        act: (u) => u,
        weight: (name: string) => weights.get(name)!,
      } as DoubleSite).flat();
    });
    want.forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 5);
    });
  });

  it('stands alone without the token gate, and may be shared by the batch', async () => {
    const layer = site({type: 'mor1e', r1: 1, r2: 2, tokenGate: false}, tf.tensor2d([[1, -2]]));
    const b = layer.adapterWeights('default').get('lora_B')!;
    b.write(tf.ones([2, 4]));
    expect([...layer.adapterWeights('default').keys()]).toEqual(['lora_A', 'lora_B', 'omega', 'gate']);
    const x = normal([2, 2, 3], 5);
    const y = layer.call(x, {}) as tf.Tensor;
    layer.activate(null);
    const delta = tf.sub(y, layer.call(x, {}) as tf.Tensor);
    layer.activate('default');
    const down = tf.matMul(x.reshape([4, 3]), layer.adapterWeights('default').get('lora_A')!.read());
    // Half of 4 · (1/2) · (1 - 2) each.
    const want = Array.from(await tf.mul(down, -1).data());
    const got = Array.from(await delta.data());
    want.forEach((value, row) => {
      for (let j = 0; j < 4; j++) expect(got[4 * row + j]).toBeCloseTo(value, 5);
    });
  });

  it('goes through a learned map from clusters to experts', () => {
    const layer = site({type: 'mor1e', r1: 1, r2: 2, clusters: 5}, normal([2, 5], 1));
    expect(layer.adapterWeights('default').get('mapper')!.shape).toEqual([5, 2]);
    expect(layer.adapterWeights('default').get('mapper')!.trainable).toBe(true);
    expect((layer.call(normal([2, 3], 2), {}) as tf.Tensor).shape).toEqual([2, 4]);
  });

  it('is asked for where it is missing, and refused where it does not fit', () => {
    const x = normal([2, 3], 2);
    expect(() => site({type: 'mor1e', r1: 1, r2: 2}).call(x, {})).toThrow(ConfigError);
    expect(() => site({type: 'mor1e', r1: 1, r2: 2}).call(x, {})).toThrow(/no intuition.*setContext/);
    for (const shape of [[3, 2], [2, 3], [2]]) {
      const layer = site({type: 'mor1e', r1: 1, r2: 2}, tf.zeros(shape));
      expect(() => layer.call(x, {})).toThrow(ShapeError);
    }
  });
});

it('starts with every expert at 1, and both scalars at a half (algorithms: 32 · softmax(0) = 1 each)', async () => {
  await tf.setBackend('cpu');
  const config: Mor1eConfig = {type: 'mor1e', intuition: false};
  const layer = site(config);
  const weights = layer.adapterWeights('default');
  const adapter = createAdapter(config);
  adapter.build(layer.dims, (name) => weights.get(name)!);
  const input = normal([2, 3], 2);
  const {gates} = adapter.parts({
    input,
    training: false,
    kernel: layer.base[0]!.read() as tf.Tensor2D,
    project: ({a}) => project({x: input, a}),
  });
  // ω · 32 · softmax(0) times the output gate: a half of a half.
  for (const value of await gates!.data()) expect(value).toBeCloseTo(0.25, 6);
});

it.each<[AdapterConfig | object, RegExp]>([
  [{type: 'mor1e', mode: 'flex', rank: 3}, /rank is not an option of mode 'flex'/],
  [{type: 'mor1e', mode: '1v1', r1: 3}, /r1 is not an option of mode '1v1'/],
  [{type: 'mor1e', mode: 'lora'}, /mode is 'lora'/],
  [{type: 'mor1e', intuition: false, tokenGate: false}, /there are no gates/],
  [{type: 'mor1e', intuition: false, clusters: 4}, /clusters needs the intuition/],
  [{type: 'mor1e', r1: 0}, /r1 is 0/],
  [{type: 'mor1e', topK: 2}, /unknown option 'topK'/],
])('refuses %p', (config, message) => {
  expect(() => createAdapter(config as AdapterConfig)).toThrow(message);
});
