import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '@tfjs-peft/kernels';
import {checkInteger, checkOptions} from './options.js';
import {uniformNumbers} from './random.js';

/** Options of {@link fitIntuition}. */
export interface FitIntuitionOptions {
  /** Seed of the first centroids: the same seed gives the same clusters on every backend. Default 0. */
  seed?: number;
  /** At most so many rounds. Default 100. */
  rounds?: number;
}

/**
 * Centroids of clusters of sentence embeddings, by spherical k-means (Dhillon and Modha, 2001) from k-means++ starts: rows of length
 * 1 that are each the direction of the mean of their members. It is how we make the centroids of MoR1E (arXiv 2404.08985), whose
 * authors give theirs as a file and not the procedure.
 *
 * @param embeddings One embedding a row, as lists of numbers or a tensor [rows, width], which is read back; their lengths do not matter.
 * @returns [clusters][width].
 * @throws ShapeError if rows differ in width or a row is zero or not finite; ConfigError if there are fewer rows than clusters, or
 * embeddings are neither.
 * @example
 * ```js
 * const centroids = fitIntuition(await embeddings.array(), 8, {seed: 1});
 * peft.setContext({intuition: intuitionScores(batchEmbeddings, centroids)});
 * ```
 */
export function fitIntuition(
  embeddings: readonly ArrayLike<number>[] | tf.Tensor2D,
  clusters: number,
  options: FitIntuitionOptions = {},
): number[][] {
  const what = 'fitIntuition';
  checkOptions(what, options, ['seed', 'rounds']);
  const count = checkInteger(what, 'clusters', clusters);
  const rounds = checkInteger(what, 'rounds', options.rounds, {fallback: 100});
  const seed = checkInteger(what, 'seed', options.seed, {min: Number.MIN_SAFE_INTEGER, fallback: 0});
  const given = rowsOf(what, embeddings);
  if (given.length < count) {
    throw new ConfigError(
      `${what}: ${count} clusters of ${given.length} embeddings. Give more embeddings, or set fewer clusters.`,
    );
  }
  const rows = given.map((row, i) => unit(row, given[0]!.length, i));
  let centroids = start(rows, count, uniformNumbers(seed));
  let members: number[] | undefined;
  for (let round = 0; round < rounds; round++) {
    const nearest = rows.map((row) => best(centroids.map((centroid) => dot(row, centroid))));
    if (members?.every((cluster, i) => cluster === nearest[i])) break;
    members = nearest;
    centroids = centroids.map((centroid, cluster) => {
      const own = rows.filter((_, i) => nearest[i] === cluster);
      const sum = centroid.map((_, j) => own.reduce((total, row) => total + row[j]!, 0));
      const length = Math.hypot(...sum);
      // A cluster without members, or whose members cancel out, stays where it was.
      return length > 1e-12 ? sum.map((value) => value / length) : centroid;
    });
  }
  return centroids;
}

/**
 * The direction of the mean of token embeddings over the real tokens, [batch, d], as nomic-embed-text gives MoR1E its instruction
 * embeddings.
 *
 * @param tokens [batch, sequence, d].
 * @param mask 1 for a real token, 0 for padding, [batch, sequence]. Default: all are real.
 */
export function sentenceEmbedding(tokens: tf.Tensor3D, mask?: tf.Tensor2D): tf.Tensor2D {
  return tf.tidy(() => {
    const weights = tf.expandDims(mask ?? tf.ones(tokens.shape.slice(0, 2)), 2);
    const mean = tf.div(tf.sum(tf.mul(tokens, weights), 1), tf.maximum(tf.sum(weights, 1), 1e-9));
    const length = tf.sqrt(tf.sum(tf.square(mean), 1, true));
    return tf.div(mean, tf.maximum(length, 1e-12)) as tf.Tensor2D;
  });
}

/**
 * Scores of sentence embeddings [batch, d] against centroids: their products, cosines where both have length 1; [batch, clusters],
 * the `intuition` that MoR1E and the intuition router read.
 *
 * @throws ConfigError if either is neither rows of numbers nor a tensor; ShapeError if their widths differ.
 */
export function intuitionScores(
  embeddings: tf.Tensor2D | readonly ArrayLike<number>[],
  centroids: tf.Tensor2D | readonly ArrayLike<number>[],
): tf.Tensor2D {
  return tf.tidy(() => {
    const [samples, clusters] = [matrixOf('embeddings', embeddings), matrixOf('centroids', centroids)];
    if (samples.shape[1] !== clusters.shape[1]) {
      throw new ShapeError(
        `intuitionScores: embeddings have shape [${samples.shape}], but centroids [${clusters.shape}]. Give both the same width.`,
      );
    }
    return tf.matMul(samples, clusters, false, true);
  });
}

function matrixOf(name: string, given: unknown): tf.Tensor2D {
  if (given instanceof tf.Tensor) {
    if (given.rank === 2) return given as tf.Tensor2D;
    throw new ShapeError(
      `intuitionScores: ${name} have shape [${given.shape}], but must be a matrix, [rows, width].`,
    );
  }
  const rows = rowsOf('intuitionScores', given, name);
  const width = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== width)) {
    throw new ShapeError(`intuitionScores: the rows of ${name} differ in length. Give all the same width.`);
  }
  return tf.tensor2d(
    rows.flatMap((row) => Array.from(row)),
    [rows.length, width],
  );
}

function rowsOf(what: string, given: unknown, name = 'embeddings'): readonly ArrayLike<number>[] {
  if (given instanceof tf.Tensor && given.rank === 2) return given.arraySync() as number[][];
  const isRow = (row: unknown) => Array.isArray(row) || ArrayBuffer.isView(row);
  if (Array.isArray(given) && given.every(isRow)) return given as ArrayLike<number>[];
  const shown = given instanceof tf.Tensor ? `a tensor [${given.shape}]` : `a ${typeof given}`;
  throw new ConfigError(
    `${what}: ${name} is ${shown}, but must be a list of rows of numbers or a tensor [rows, width].`,
  );
}

function unit(row: ArrayLike<number>, width: number, index: number): number[] {
  const values = Array.from(row);
  const length = Math.hypot(...values);
  if (values.length !== width || !(length > 0) || !Number.isFinite(length)) {
    throw new ShapeError(
      `fitIntuition: embedding ${index} must be ${width} finite numbers that are not all zero. Leave it out or correct it.`,
    );
  }
  return values.map((value) => value / length);
}

/** k-means++: each further centroid is a row, the likelier the farther from those before. */
function start(rows: number[][], count: number, next: () => number): number[][] {
  const centroids = [rows[Math.floor(next() * rows.length)]!];
  while (centroids.length < count) {
    const far = rows.map((row) =>
      Math.max(0, 1 - Math.max(...centroids.map((centroid) => dot(row, centroid)))),
    );
    let left = next() * far.reduce((sum, value) => sum + value, 0);
    const chosen = far.findIndex((value) => {
      left -= value;
      return left < 0;
    });
    // All rows are centroids already: any will do.
    centroids.push(rows[chosen < 0 ? centroids.length % rows.length : chosen]!);
  }
  return centroids;
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function best(scores: number[]): number {
  return scores.indexOf(Math.max(...scores));
}
