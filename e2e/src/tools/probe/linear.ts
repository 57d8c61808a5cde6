/** Unit vectors are scaled so that an entry is about 1, as linear heads and their learning rates expect. */
export const featureScale = (width: number) => Math.sqrt(width);

/** A linear head: logits = featureScale · vector · kernel + bias, kernel row-major [width, classes]. */
export interface Head {
  kernel: Float32Array;
  bias: Float32Array;
}

/** Width of the vectors that a head takes. */
export const widthOf = ({kernel, bias}: Head) => kernel.length / bias.length;

/** Logits row-major [rows, classes] of vectors row-major [rows, width]. */
export function logitsOf(head: Head, vectors: Float32Array): Float32Array {
  const classes = head.bias.length;
  const width = widthOf(head);
  const scale = featureScale(width);
  const rows = vectors.length / width;
  const logits = new Float32Array(rows * classes);
  const sums = new Float64Array(classes);
  for (let row = 0; row < rows; row++) {
    sums.set(head.bias);
    for (let i = 0; i < width; i++) {
      const x = scale * vectors[row * width + i]!;
      for (let c = 0; c < classes; c++) sums[c]! += x * head.kernel[i * classes + c]!;
    }
    logits.set(sums, row * classes);
  }
  return logits;
}

/** Index of the largest logit of each row. */
export function predictionsOf(logits: Float32Array, classes: number): Int32Array {
  return Int32Array.from({length: logits.length / classes}, (_, row) => {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if (logits[row * classes + c]! > logits[row * classes + best]!) best = c;
    }
    return best;
  });
}

/** Share of the rows whose largest logit is at their label. */
export function accuracyOf(logits: Float32Array, labels: Int32Array, classes: number): number {
  const predictions = predictionsOf(logits, classes);
  let right = 0;
  labels.forEach((label, row) => {
    if (predictions[row] === label) right++;
  });
  return right / labels.length;
}

/** Standard error of an accuracy over so many independent texts. */
export function standardError(accuracy: number, count: number): number {
  return Math.sqrt((accuracy * (1 - accuracy)) / count);
}

/** Mean cross entropy of softmax(logits). */
export function crossEntropyOf(logits: Float32Array, labels: Int32Array, classes: number): number {
  let total = 0;
  labels.forEach((label, row) => {
    const scores = logits.subarray(row * classes, (row + 1) * classes);
    const top = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
    total += top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0)) - scores[label]!;
  });
  return total / labels.length;
}
