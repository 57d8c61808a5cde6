import * as tf from '@tensorflow/tfjs-core';
// Of the shipped graph, layer norms included, a gradient is taken.
import '@tfjs-peft/kernels/gradients';
import {trainer, upgrade} from '@tfjs-peft/layers/graph';
import {tensorDifference} from '@tfjs-peft/testing/compare';
import {loadUseLiteGraph, raggedTokens} from '../../data/models/use-lite-graph.js';
import {useBackend} from '../../tools/golden/backend.js';

const TOKENS = [
  [41, 190, 7, 23, 5],
  [310, 6, 88],
];

const loss = (vectors: tf.Tensor | tf.Tensor[]) =>
  tf.sum(tf.square(tf.sub(vectors as tf.Tensor, 0.1))) as tf.Scalar;

test.each(['cpu', 'wasm'])(
  'USE-lite as shipped has the outputs and gradients of its nodes one by one, on %s',
  async (backend) => {
    await useBackend(backend);
    const model = await loadUseLiteGraph();
    const peft = await upgrade(model, {
      targets: 'all-projections',
      adapter: {type: 'molora', experts: 2, rank: 2},
      seed: 1,
    });
    const variables = peft.trainableVariables();
    variables.forEach((variable, i) => {
      tf.tidy(() => variable.assign(tf.randomUniform(variable.shape, -0.1, 0.1, 'float32', 100 + i)));
    });
    const own = trainer(model);
    const {values, indices} = raggedTokens(TOKENS, 5);
    const inputs = {values, indices};
    const fed = own.crossing;
    const tensors = (await model.executeAsync(inputs, fed)) as tf.Tensor[];
    const feeds = Object.fromEntries(fed.map((name, i) => [name, tensors[i]!]));
    const forward = () => model.execute(feeds, model.outputNodes) as tf.Tensor;
    const want = tf.variableGrads(() => loss(forward()), variables);

    expect(tensorDifference((await own.predict(inputs)) as tf.Tensor, forward())).toBeLessThan(1e-5);
    let grads: tf.NamedTensorMap = {};
    const {kernels} = await tf.profile(async () => {
      grads = (await own.gradients(inputs, loss)).grads;
      return [];
    });
    // Of the first block's first one nothing depends on what is trained.
    expect(kernels.filter(({name}) => name === 'PeftLayerNorm')).toHaveLength(3);
    for (const {name} of variables)
      expect(tensorDifference(grads[name]!, want.grads[name]!)).toBeLessThan(1e-5);
    expect(
      Math.max(...variables.map(({name}) => tf.max(tf.abs(grads[name]!)).dataSync()[0]!)),
    ).toBeGreaterThan(1e-2);
    own.dispose();
    peft.detach();
    model.dispose();
  },
  60000,
);
