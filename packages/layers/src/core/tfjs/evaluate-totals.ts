import * as tf from '@tensorflow/tfjs-core';

type TestFunction = (data: tf.Tensor[]) => tf.Scalar[];

/** Fields of a LayersModel that its types hide. */
interface Testing {
  outputs: unknown[];
  testFunction?: TestFunction;
  makeTestFunction(): void;
}

/**
 * Makes `evaluate`, `evaluateDataset` and what `fit` calls `val_…` of a model with several outputs agree with
 * `metricsNames`, as they do while training. tfjs-layers gives the sums of the first, the first two, … losses
 * before the losses themselves, for one name, `loss`.
 *
 * @returns Undoes it.
 */
export function repairTotals(model: object): () => void {
  const testing = model as Testing;
  if (Object.hasOwn(model, 'makeTestFunction') || testing.makeTestFunction === undefined) return () => {};
  testing.makeTestFunction = function (this: Testing) {
    Object.getPrototypeOf(this).makeTestFunction.call(this);
    const stock = this.testFunction!;
    const others = this.outputs.length - 1;
    if (others > 0) this.testFunction = (data) => tf.tidy(() => stock(data).slice(others));
  };
  return () => {
    delete (model as Partial<Testing>).makeTestFunction;
    // What was made of it would be there until the next evaluation.
    delete testing.testFunction;
  };
}
