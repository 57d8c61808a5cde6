import * as tf from '@tensorflow/tfjs';
import {createAdapter, type MoloraConfig, moloraDense} from '../../../index.js';
import {type DoubleSite, describeAdapter} from '../../../testing/describe-adapter.js';
import {gatesOf, type Matrix, product} from '../../../testing/double.js';

/** Σ_e g_e (x A_e) B_e with the experts' blocks cut out of the packed A and B. */
function molora(rank: number, scale: number, router?: Parameters<typeof gatesOf>[2]) {
  return ({x, z, act, weight}: DoubleSite): Matrix => {
    const gates = gatesOf(x, weight('router'), router);
    const u = z.map((row) => [...row]);
    for (let e = 0; e < gates[0]!.length; e++) {
      const a = weight('lora_A').map((row) => row.slice(e * rank, (e + 1) * rank));
      const b = weight('lora_B').slice(e * rank, (e + 1) * rank);
      const expert = product(product(x, a), b);
      u.forEach((row, i) => {
        row.forEach((_, j) => {
          row[j]! += scale * gates[i]![e]! * expert[i]![j]!;
        });
      });
    }
    return act(u);
  };
}

describeAdapter({type: 'molora', experts: 3, rank: 2, alpha: 5}, molora(2, 2.5));
describeAdapter({type: 'molora', experts: 1, rank: 3, alpha: 3}, molora(3, 1));
describeAdapter(
  {type: 'molora', experts: 4, rank: 1, alpha: 2, router: {type: 'softmax', topK: 2, temperature: 0.8}},
  molora(1, 2, {topK: 2, temperature: 0.8}),
);
describeAdapter(
  {type: 'molora', experts: 4, rank: 2, router: {type: 'softmax', topK: 2, renormalize: true}},
  molora(2, 2, {topK: 2, renormalize: true}),
);

test.each([
  [24, 1, ['PeftExpertDown']],
  [24, undefined, ['PeftProject']],
  [4, 2, ['PeftProject']],
] as const)('with %d experts and top-%s, h comes from %s', async (experts, topK, wanted) => {
  await tf.setBackend('wasm');
  const layer = moloraDense({units: 7, experts, rank: 2, router: {type: 'softmax', topK}});
  const x = tf.ones([4, 5]);
  tf.dispose(layer.apply(x) as tf.Tensor);
  const {kernels} = await tf.profile(() => layer.apply(x) as tf.Tensor);
  expect(kernels.map(({name}) => name).filter((name) => /Project|Expert/.test(name))).toEqual(wanted);
});

test('outputs and gradients are the same whether all experts are computed or the chosen ones', async () => {
  await tf.setBackend('wasm');
  const layer = moloraDense({units: 7, experts: 24, rank: 2, router: {type: 'softmax', topK: 2}});
  const x = tf.randomNormal([30, 5], 0, 1, 'float32', 1);
  tf.dispose(layer.apply(x) as tf.Tensor);
  const b = layer.weights.find(({name}) => name.endsWith('lora_B'))!;
  b.write(tf.randomNormal(b.shape as number[], 0, 1, 'float32', 2));
  const results = () => {
    const loss = () => tf.sum(tf.sin(layer.apply(x, {training: true}) as tf.Tensor)) as tf.Scalar;
    const {value, grads} = tf.variableGrads(loss);
    return [layer.apply(x) as tf.Tensor, value, ...Object.values(grads)].map((t) => t.arraySync());
  };
  const sparse = results();
  expect(sparse).toHaveLength(5);
  const kernel = tf.getKernel('PeftExpertDown', 'wasm')!;
  tf.unregisterKernel('PeftExpertDown', 'wasm');
  try {
    const dense = results();
    for (const [i, values] of sparse.entries()) {
      const off = tf.sub(tf.tensor(values as number[]), tf.tensor(dense[i] as number[]));
      expect(tf.max(tf.abs(off)).dataSync()[0]).toBeLessThan(2e-6);
    }
  } finally {
    tf.registerKernel(kernel);
  }
});

test('molora defaults: 4 experts of rank 4, alpha 8, soft merging', () => {
  const config: MoloraConfig = {
    type: 'molora',
    experts: 4,
    rank: 4,
    alpha: 8,
    router: {type: 'softmax', temperature: 1, renormalize: false},
  };
  expect(createAdapter({type: 'molora'}).getConfig()).toEqual(config);
  expect(createAdapter(config).getConfig()).toEqual(config);
});
