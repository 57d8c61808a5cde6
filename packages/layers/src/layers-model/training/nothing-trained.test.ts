import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {upgrade} from '../../index.js';

const LORA = {type: 'lora', rank: 1} as const;

/** A generator, a discriminator, and both as one, as GANs are trained. */
function gan() {
  const dense = (units: number, inputShape: number[], name: string) =>
    tfl.layers.dense({units, inputShape, name});
  const G = tfl.sequential({name: 'G', layers: [dense(4, [3], 'g')]});
  const D = tfl.sequential({name: 'D', layers: [dense(2, [4], 'd1'), dense(1, [2], 'd2')]});
  const input = tfl.input({shape: [3]});
  const both = tfl.model({
    name: 'gan',
    inputs: input,
    outputs: D.apply(G.apply(input)) as tfl.SymbolicTensor,
  });
  for (const model of [D, both]) model.compile({optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError'});
  return {G, D, both};
}

/** Each way to train a model. */
const WAYS: Record<string, (model: tfl.LayersModel, x: tf.Tensor) => Promise<unknown>> = {
  trainOnBatch: (model, x) => model.trainOnBatch(x, tf.ones([2, 1])),
  fit: (model, x) => model.fit(x, tf.ones([2, 1]), {verbose: 0}),
  fitDataset: (model, x) => {
    const value = {xs: x, ys: tf.ones([2, 1])};
    const iterator = async () => {
      const rest = [value];
      return {next: async () => ({done: rest.length === 0, value: rest.shift() ?? null})};
    };
    return model.fitDataset({iterator, size: 1} as never, {epochs: 1, verbose: 0} as never);
  },
};

describe.each(Object.keys(WAYS))('%s', (way) => {
  const train = (model: tfl.LayersModel, width: number) => WAYS[way]!(model, tf.ones([2, width]));

  it('of a model whose layers the upgrade of another has frozen names both', async () => {
    const {D, both} = gan();
    const peft = await upgrade(both, {targets: ['g'], adapter: LORA});
    const error = await train(D, 4).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(
      /Model 'D' has nothing to train: its layers 'd1', 'd2' are frozen by the upgrade of model 'gan'/,
    );
    await train(both, 3);
    D.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    await expect(train(D, 4)).rejects.toThrow(/'gan'/);
    peft.detach();
    await train(D, 4);
    await train(both, 3);
  });

  it('of a model that is no part of the other, but has its layers, does so too', async () => {
    const input = tfl.input({shape: [4]});
    const body = tfl.layers.dense({units: 3, name: 'body'});
    const tail = tfl.layers.dense({units: 1, name: 'tail'});
    const middle = body.apply(input) as tfl.SymbolicTensor;
    const whole = tfl.model({
      name: 'whole',
      inputs: input,
      outputs: tail.apply(middle) as tfl.SymbolicTensor,
    });
    const second = tfl.input({shape: [4]});
    const other = tfl.model({
      name: 'other',
      inputs: second,
      outputs: tail.apply(body.apply(second)) as tfl.SymbolicTensor,
    });
    other.compile({optimizer: 'sgd', loss: 'meanSquaredError'});
    const peft = await upgrade(whole, {targets: ['body'], adapter: LORA});
    peft.disable();
    await expect(train(other, 4)).rejects.toThrow(
      /Model 'other' has nothing to train: .*'tail'.* model 'whole'/,
    );
  });

  it('of the model itself while no adapter is active says so', async () => {
    const {both} = gan();
    const peft = await upgrade(both, {targets: ['g'], adapter: LORA});
    peft.disable();
    await expect(train(both, 3)).rejects.toThrow(/Model 'gan' has nothing to train: .*no adapter is active/);
    peft.enable();
    await train(both, 3);
  });

  it('of a model that has weights of its own beside the frozen ones goes on', async () => {
    const {D, both} = gan();
    await upgrade(both, {targets: ['g'], alsoTrain: ['d2'], adapter: LORA});
    await train(D, 4);
  });
});
