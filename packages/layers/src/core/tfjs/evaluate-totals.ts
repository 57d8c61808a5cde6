import * as tf from '@tensorflow/tfjs-core';

type TestFunction = (data: tf.Tensor[]) => tf.Scalar[];

/** Fields of a LayersModel that its types hide. */
interface Testing {
  outputs: unknown[];
  testFunction?: TestFunction;
  makeTestFunction(): void;
}

/**
 * Makes `evaluate`, `evaluateDataset` and the `val_…` figures of `fit` agree with `metricsNames` for a model
 * with several outputs, as they do in training. tfjs-layers puts the running sums of the losses in front of
 * the losses themselves, under a single name, `loss`.
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
    // Otherwise the old function would stay until the next evaluation.
    delete testing.testFunction;
  };
}
