import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type GraphTrainer, type Peft, trainer, upgrade} from '../../graph.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';

const X = () => tf.randomUniform([4, ...X_SHAPE.slice(1)], -1, 1, 'float32', 7);
const Y = () => tf.randomUniform([4, 3, 5], -1, 1, 'float32', 8);
const LORA = {type: 'lora', rank: 2} as const;
const BUSY = /ConfigError: The GraphModel is being trained/;

interface Used {
  model: GraphModel;
  peft: Peft<GraphModel>;
  training: GraphTrainer;
}

/** Trains, and does something in the middle of it. What it threw, if it did. */
async function during(act: (used: Used) => unknown): Promise<{message: string; losses: number[]}> {
  const model = await DIALECTS.fused!().load();
  const peft = await upgrade(model, {adapter: LORA, seed: 1});
  const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.sgd(0.1)});
  let message = '';
  const {history} = await training.fit(
    {xs: X(), ys: Y()},
    {
      epochs: 2,
      batchSize: 2,
      seed: 1,
      verbose: 0,
      callbacks: {
        onBatchEnd: async (batch) => {
          if (batch !== 1) return;
          try {
            await act({model, peft, training});
          } catch (error) {
            message = String(error);
          }
        },
      },
    },
  );
  peft.detach();
  return {message, losses: history.loss as number[]};
}

describe('while a GraphModel is trained', () => {
  const changes: Record<string, (used: Used) => unknown> = {
    'another adapter': ({model}) => upgrade(model, {adapter: LORA, name: 'other'}),
    enable: ({peft}) => peft.enable(),
    disable: ({peft}) => peft.disable(),
    detach: ({peft}) => peft.detach(),
    load: ({peft}) => peft.load('memory'),
    'a second fit': ({training}) => training.fit({xs: X(), ys: Y()}),
    'a fit of another trainer': ({model}) =>
      trainer(model, {loss: 'meanSquaredError'}).fit({xs: X(), ys: Y()}, {verbose: 0}),
    'dispose of the trainer': ({training}) => training.dispose(),
  };

  it.each(Object.keys(changes))('%s is refused, and training goes on', async (change) => {
    const {losses: undisturbed} = await during(() => {});
    const {message, losses} = await during(changes[change]!);
    expect(message).toMatch(BUSY);
    expect(losses).toEqual(undisturbed);
  });

  it('a first upgrade is refused, where heads alone are trained', async () => {
    const model = await DIALECTS.fused!().load();
    const training = trainer(model, {loss: 'meanSquaredError', head: tfl.layers.dense({units: 5})});
    let attempt: Promise<unknown> | undefined;
    await training.fit(
      {xs: X(), ys: Y()},
      {
        verbose: 0,
        callbacks: {
          onBatchEnd: async () => {
            attempt = upgrade(model, {adapter: LORA}).catch((error: unknown) => error);
            await attempt;
          },
        },
      },
    );
    expect(String(await attempt)).toMatch(BUSY);
    await upgrade(model, {adapter: LORA});
  });
});
