import * as tf from '@tensorflow/tfjs-core';
import {isGpu, type SuiteOptions} from '../suite.js';

const [VOCABULARY, WIDTH] = [8000, 512];

/**
 * Token ids for USE-lite, and vectors to train towards: 32 texts of 32 tokens, or 4 of 8 on a GPU, which may
 * be one that a CPU plays.
 */
export function useLiteBatch({size, backend}: SuiteOptions): {ids: tf.Tensor; target: tf.Tensor} {
  const [texts, tokens] = size ?? (isGpu(backend) ? [4, 8] : [32, 32]);
  return {
    ids: tf.randomUniform([texts, tokens], 1, VOCABULARY, 'int32', 1),
    target: tf.tidy(() => tf.randomNormal([texts, WIDTH], 0, WIDTH ** -0.5, 'float32', 2)),
  };
}
