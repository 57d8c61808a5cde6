import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, describe} from '@tfjs-peft/kernels';
import {Calibration} from '@tfjs-peft/quant';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import type {UpgradableModel} from '../core/lifecycle/peft.js';

/** Inputs of a model, as its `predict` takes them. */
export type CalibrationInputs = tf.Tensor | tf.Tensor[] | tf.NamedTensorMap;

/** One batch of inputs, or several. A batch for several inputs is a list or a map of tensors. */
export type CalibrationData = CalibrationInputs | {batches: Iterable<CalibrationInputs>};

/** @throws ConfigError if it is no data. */
export function checkData(data: unknown): void {
  if (typeof data === 'object' && data !== null) return;
  throw new ConfigError(
    `quantizeModel: data is ${describe(data)}. Pass a batch as predict takes it, or {batches: [batch, …]}.`,
  );
}

/**
 * Runs a model and sums up what one of its weights is multiplied by. One weight at a time: the sum has the
 * square of its width.
 */
export async function calibrate(
  model: UpgradableModel,
  path: string,
  matrix: PackableMatrix,
  data: CalibrationData,
): Promise<Calibration> {
  if (matrix.watch === undefined) {
    throw new ConfigError(
      `quantizeModel: '${path}' is a table of rows, for which no quantizer that calibrates has a meaning. Use ` +
        "quantizer 'nearest', or remove it from targets.",
    );
  }
  const width = matrix.shape[0];
  const calibration = new Calibration(width);
  const products: {product: tf.Tensor; rows: number}[] = [];
  const end = matrix.watch((x) => {
    const rows = x.size / width;
    const product = tf.tidy(() => {
      const flat = tf.reshape(x, [rows, width]);
      return tf.keep(tf.matMul(flat, flat, true));
    });
    products.push({product, rows});
  });
  try {
    for (const batch of batchesOf(data)) {
      await run(model, batch);
      for (const {product, rows} of products.splice(0)) {
        calibration.addProduct(await product.data(), rows);
        product.dispose();
      }
    }
  } finally {
    end();
    for (const {product} of products) product.dispose();
  }
  if (calibration.rows === 0) {
    throw new ConfigError(
      `quantizeModel: '${path}' was not run while the model ran on data. Pass at least one batch, and call ` +
        'peft.disable() if the model has an active adapter.',
    );
  }
  return calibration;
}

function batchesOf(data: CalibrationData): Iterable<CalibrationInputs> {
  const {batches} = data as {batches?: Iterable<CalibrationInputs> | tf.Tensor};
  return batches === undefined || batches instanceof tf.Tensor ? [data as CalibrationInputs] : batches;
}

async function run(model: UpgradableModel, batch: CalibrationInputs): Promise<void> {
  const outputs =
    'predictAsync' in model
      ? await model.predictAsync(batch)
      : (model as {predict(inputs: CalibrationInputs): tf.Tensor | tf.Tensor[]}).predict(batch);
  tf.dispose(outputs);
}
