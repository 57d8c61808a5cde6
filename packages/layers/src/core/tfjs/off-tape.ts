import * as tf from '@tensorflow/tfjs-core';

/**
 * Runs code whose ops the gradient tape does not record, so that nothing is kept of what they take: as the
 * tape sees it, what the code gives is constant. tfjs records no op that runs within another op's kernel.
 */
export function offTape<T>(run: () => T): T {
  const {state} = tf.engine();
  state.kernelDepth++;
  try {
    return run();
  } finally {
    state.kernelDepth--;
  }
}
