import * as tf from '@tensorflow/tfjs-core';
import {breathe} from '../command/breathe.js';
import {minimize} from './lbfgs.js';
import {accuracyOf, crossEntropyOf, featureScale, type Head, logitsOf} from './linear.js';

/** Penalties from strong to weak, half a decade apart; each fit starts from the one before. */
const PENALTIES = [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5, 1e-5];
/** A path ends early when validation has become worse so often in a row, in accuracy and in loss. */
const PATIENCE = 3;
/**
 * Share of the loss that a step must still win: along the path, where accuracies settle
 * early, and for the penalty chosen.
 */
const PATH_PRECISION = 1e-6;
const FINAL_PRECISION = 1e-8;

export interface ProbeData {
  vectors: Float32Array;
  labels: Int32Array;
}

export interface Probe {
  head: Head;
  /** The penalty that validation chose. */
  l2: number;
  validationAccuracy: number;
}

/** Softmax regression's mean loss and the gradient with respect to the logits, which replaces them. */
function softmaxLoss(logits: Float32Array, labels: Int32Array, classes: number): number {
  const rows = labels.length;
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    let top = Number.NEGATIVE_INFINITY;
    for (const score of scores) top = Math.max(top, score);
    let sum = 0;
    for (const score of scores) sum += Math.exp(score - top);
    const logSum = top + Math.log(sum);
    loss += logSum - scores[labels[row]!]!;
    for (let c = 0; c < classes; c++) {
      scores[c] = (Math.exp(scores[c]! - logSum) - (c === labels[row] ? 1 : 0)) / rows;
    }
  }
  return loss / rows;
}

/** The head for features as they are, of one fitted to features less their mean. */
function uncentred(x: Float64Array, mean: ArrayLike<number>, classes: number): Head {
  const kernel = Float32Array.from(x.subarray(0, mean.length * classes));
  const bias = x.slice(kernel.length);
  for (let i = 0; i < kernel.length; i++) {
    bias[i % classes]! -= mean[Math.floor(i / classes)]! * kernel[i]!;
  }
  return {kernel, bias: Float32Array.from(bias)};
}

/**
 * Multinomial logistic regression on frozen sentence vectors, converged (L-BFGS on the whole training set)
 * for each penalty of a path, the penalty chosen by validation accuracy (ties: validation loss). The products
 * run on the current backend.
 *
 * @param onFit called before each fit; may throw to stop.
 */
export async function tuneProbe(
  train: ProbeData,
  validation: ProbeData,
  classes: number,
  onFit: () => void = () => {},
): Promise<Probe> {
  const rows = train.labels.length;
  const width = train.vectors.length / rows;
  const kernelSize = width * classes;
  // Centred features have the same optimum, since the bias is free, and need a fraction of the iterations.
  const [features, center] = tf.tidy(() => {
    const scaled = tf.mul(tf.tensor2d(train.vectors, [rows, width]), featureScale(width));
    const mean = tf.mean(scaled, 0);
    return [tf.sub(scaled, mean) as tf.Tensor2D, mean];
  });
  const offsets = await center!.data();
  const transposed = tf.tidy(() => tf.transpose(features));
  const evaluate = (l2: number) => async (x: Float64Array) => {
    const kernel = Float32Array.from(x.subarray(0, kernelSize));
    const bias = Float32Array.from(x.subarray(kernelSize));
    const product = tf.tidy(() => tf.add(tf.matMul(features, tf.tensor2d(kernel, [width, classes])), bias));
    const logits = Float32Array.from(await product.data());
    product.dispose();
    let value = softmaxLoss(logits, train.labels, classes);
    const pulled = tf.tidy(() => tf.matMul(transposed, tf.tensor2d(logits, [rows, classes])));
    const gradient = new Float64Array(x.length);
    gradient.set(await pulled.data());
    pulled.dispose();
    for (let i = 0; i < kernelSize; i++) {
      value += (l2 / 2) * x[i]! * x[i]!;
      gradient[i]! += l2 * x[i]!;
    }
    for (let i = 0; i < logits.length; i++) gradient[kernelSize + (i % classes)]! += logits[i]!;
    return {value, gradient};
  };
  const fit = async (l2: number, from: Float64Array, precision: number): Promise<Float64Array> =>
    (await minimize(evaluate(l2), from, {precision})).x;
  let x: Float64Array = new Float64Array(kernelSize + classes);
  let best: {x: Float64Array; l2: number; validationAccuracy: number; loss: number} | undefined;
  let worse = 0;
  for (const l2 of PENALTIES) {
    onFit();
    await breathe();
    x = await fit(l2, x, PATH_PRECISION);
    const head = uncentred(x, offsets, classes);
    const logits = logitsOf(head, validation.vectors);
    const validationAccuracy = accuracyOf(logits, validation.labels, classes);
    const loss = crossEntropyOf(logits, validation.labels, classes);
    const better =
      best === undefined ||
      validationAccuracy > best.validationAccuracy ||
      (validationAccuracy === best.validationAccuracy && loss < best.loss);
    worse = better || loss < best!.loss ? 0 : worse + 1;
    if (better) best = {x, l2, validationAccuracy, loss};
    if (worse >= PATIENCE) break;
  }
  const {l2} = best!;
  const head = uncentred(await fit(l2, best!.x, FINAL_PRECISION), offsets, classes);
  tf.dispose([features, center, transposed]);
  const logits = logitsOf(head, validation.vectors);
  return {head, l2, validationAccuracy: accuracyOf(logits, validation.labels, classes)};
}
