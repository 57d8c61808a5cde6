import {Interrupt} from '../../tools/command/interrupt.js';
import {Parameters} from '../common/parameters.js';
import {Progress} from '../common/progress.js';
import type {EncodedTask} from './corpus.js';
import {Sampler} from './sampler.js';
import {type Training, train} from './train.js';

const labels = Int32Array.of(0, 1);
const split = {texts: ['a', 'b'], tokens: [Int32Array.of(1), Int32Array.of(2)], labels};
const task: EncodedTask = {name: 't', classes: ['x', 'y'], train: split, validation: split, test: split};
const score = {step: 0, accuracies: [0.5]};

/**
 * Trains a head on two texts, with a crew that gives the loss and gradient, or the
 * vectors, of a run that has overflowed.
 */
function trainWith(loss: number, gradient: number, vector: number): Promise<void> {
  const parameters = new Parameters(
    [
      {name: 'head/0/kernel', shape: [1, 2], values: Float32Array.of(0, 0)},
      {name: 'head/0/bias', shape: [2], values: Float32Array.of(0, 0)},
    ],
    () => 1,
  );
  const crew = {
    width: 1,
    assign: async () => {},
    gradients: async () => ({
      loss,
      gradients: parameters.values.map(({length}) => new Float32Array(length).fill(gradient)),
    }),
    encodeAll: async () => Float32Array.of(vector, vector),
  } as unknown as Training['crew'];
  const training: Training = {
    crew,
    tasks: [task],
    parameters,
    sampler: new Sampler([task], 2, 4, 1),
    steps: 3,
    learningRate: 0.5,
    penalties: [0],
    interrupt: new Interrupt(),
    seed: 1,
  };
  const position = {
    step: 0,
    validated: 0,
    blended: false,
    start: score,
    best: score,
    losses: [],
    trainingSeconds: 0,
  };
  return train(
    training,
    position,
    parameters.snapshot(),
    parameters.snapshot(),
    new Progress('', 3, process.stderr, true),
  );
}

describe('training that overflows is an error, not a result', () => {
  const why = /the loss is no longer a finite number at .*; lower --lr \(now 0\.5\) or --head-lr$/;

  it.each([
    ['the loss', Number.NaN, 1, 1],
    ['a gradient', 1, Number.POSITIVE_INFINITY, 1],
    ['what validation sees', 1, 1, Number.NaN],
  ])('in %s', async (_, loss, gradient, vector) => {
    await expect(trainWith(loss, gradient, vector)).rejects.toThrow(why);
  });

  it('and none that does not', async () => {
    await trainWith(1, 1, 1);
  });
});
