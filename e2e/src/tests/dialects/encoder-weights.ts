import {util} from '@tensorflow/tfjs-core';
import {random} from '../../data/tasks/random.js';

/** Sizes of a BERT-style encoder. */
export interface EncoderSize {
  vocabulary: number;
  positions: number;
  types: number;
  hidden: number;
  heads: number;
  layers: number;
  feedForward: number;
}

export const SMALL: EncoderSize = {
  vocabulary: 40,
  positions: 16,
  types: 2,
  hidden: 12,
  heads: 3,
  layers: 2,
  feedForward: 20,
};

export interface Values {
  shape: number[];
  values: Float32Array;
}

export interface Dense {
  kernel: Values;
  bias: Values;
}

export interface Norm {
  gamma: Values;
  beta: Values;
}

export interface LayerWeights {
  query: Dense;
  key: Dense;
  value: Dense;
  attentionOutput: Dense;
  attentionNorm: Norm;
  intermediate: Dense;
  output: Dense;
  outputNorm: Norm;
}

export interface EncoderWeights {
  words: Values;
  positions: Values;
  types: Values;
  norm: Norm;
  layers: LayerWeights[];
  pooler: Dense;
}

/** Random weights of one seed: every dialect writes the same ones. */
export function encoderWeights(size: EncoderSize, seed: number): EncoderWeights {
  const next = random(seed, 'encoder');
  // Uniform, of the standard deviation asked for.
  const draw = (shape: number[], deviation: number, mean = 0): Values => ({
    shape,
    values: Float32Array.from(
      {length: util.sizeFromShape(shape)},
      () => mean + deviation * Math.sqrt(3) * (2 * next() - 1),
    ),
  });
  const {hidden, feedForward} = size;
  const dense = (inputs: number, outputs: number): Dense => ({
    kernel: draw([inputs, outputs], 1 / Math.sqrt(inputs)),
    bias: draw([outputs], 0.1),
  });
  const norm = (): Norm => ({gamma: draw([hidden], 0.1, 1), beta: draw([hidden], 0.1)});
  return {
    words: draw([size.vocabulary, hidden], 0.5),
    positions: draw([size.positions, hidden], 0.2),
    types: draw([size.types, hidden], 0.2),
    norm: norm(),
    layers: Array.from({length: size.layers}, () => ({
      query: dense(hidden, hidden),
      key: dense(hidden, hidden),
      value: dense(hidden, hidden),
      attentionOutput: dense(hidden, hidden),
      attentionNorm: norm(),
      intermediate: dense(hidden, feedForward),
      output: dense(feedForward, hidden),
      outputNorm: norm(),
    })),
    pooler: dense(hidden, hidden),
  };
}
