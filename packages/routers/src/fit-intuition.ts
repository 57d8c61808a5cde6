import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, checkInteger, checkOptions, ShapeError, uniformNumbers} from '@tfjs-peft/kernels';

/** Options of {@link fitIntuition}. */
export interface FitIntuitionOptions {
  /** Seed of the initial centroids. The same seed gives the same clusters on every backend. Default 0. */
  seed?: number;
  /** Maximum number of k-means rounds. Default 100. */
  rounds?: number;
}

/**
 * Clusters sentence embeddings by spherical k-means (Dhillon and Modha, 2001), started by k-means++. Each
 * centroid has length 1 and the direction of its members' mean. MoR1E (arXiv 2404.08985) needs such
 * centroids; its authors publish theirs as a file, without the procedure.
 *
 * @param embeddings One embedding per row: lists of numbers, or a tensor [rows, width], which is read back.
 * Only directions count.
 * @param clusters Number of centroids, at most the number of rows.
 * @returns The centroids, [clusters][width].
 * @throws ShapeError if rows differ in width, or a row is zero or not finite; ConfigError if there are fewer
 * rows than clusters, if `embeddings` is neither lists nor such a tensor, or if an option is unknown or out
 * of range.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {fitIntuition, intuitionScores} from '@tfjs-peft/routers';
 *
 * const embeddings = tf.tensor2d([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]]);
 * const centroids = fitIntuition(embeddings, 2, {seed: 1});
 * const intuition = intuitionScores(embeddings, centroids); // [4, 2], for peft.setContext({intuition})
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
      `${what}: clusters is ${count}, but there are ${given.length} embeddings. Pass more embeddings or ` +
        'fewer clusters.',
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
      // A cluster that has no members, or whose members cancel out, keeps its centroid.
      return length > 1e-12 ? sum.map((value) => value / length) : centroid;
    });
  }
  return centroids;
}

/**
 * Averages token embeddings over the real tokens and normalises each mean to length 1, as nomic-embed-text
 * does for the instruction embeddings of MoR1E.
 *
 * @param tokens [batch, sequence, d].
 * @param mask 1 for a real token, 0 for padding, [batch, sequence]. Default: all tokens are real.
 * @returns [batch, d].
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {sentenceEmbedding} from '@tfjs-peft/routers';
 *
 * const sentence = sentenceEmbedding(tf.ones([2, 5, 8])); // [2, 8], for peft.setContext({sentence})
 * ```
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
 * Scores sentence embeddings against centroids by dot product: cosines if both have length 1. MoR1E and the
 * intuition router read the result as the context's `intuition`.
 *
 * @param embeddings [batch, d], a tensor or rows of numbers.
 * @param centroids [clusters, d], a tensor or rows of numbers, such as those of {@link fitIntuition}.
 * @returns [batch, clusters].
 * @throws ConfigError if either is neither a tensor nor rows of numbers; ShapeError if their widths differ.
 * @example
 * ```ts
 * import {intuitionScores} from '@tfjs-peft/routers';
 *
 * const scores = intuitionScores([[1, 0]], [[1, 0], [0, 1]]); // [[1, 0]]
 * ```
 */
export function intuitionScores(
  embeddings: tf.Tensor2D | readonly ArrayLike<number>[],
  centroids: tf.Tensor2D | readonly ArrayLike<number>[],
): tf.Tensor2D {
  return tf.tidy(() => {
    const [samples, clusters] = [matrixOf('embeddings', embeddings), matrixOf('centroids', centroids)];
    if (samples.shape[1] !== clusters.shape[1]) {
      throw new ShapeError(
        `intuitionScores: embeddings have shape [${samples.shape}], but centroids [${clusters.shape}]. ` +
          'Pass both with the same width.',
      );
    }
    return tf.matMul(samples, clusters, false, true);
  });
}

function matrixOf(name: string, given: unknown): tf.Tensor2D {
  if (given instanceof tf.Tensor) {
    if (given.rank === 2) return given as tf.Tensor2D;
    throw new ShapeError(
      `intuitionScores: ${name} have shape [${given.shape}], but must have shape [rows, width]. Reshape ` +
        'them.',
    );
  }
  const rows = rowsOf('intuitionScores', given, name);
  const width = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== width)) {
    throw new ShapeError(`intuitionScores: the rows of ${name} differ in length. Pass rows of one length.`);
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
      `fitIntuition: embedding ${index} must be ${width} finite numbers, not all zero. Correct it or leave ` +
        'it out.',
    );
  }
  return values.map((value) => value / length);
}

/**
 * k-means++: draws each further centroid from the rows, with a probability that grows with the distance to
 * the others.
 */
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
    // All rows lie on centroids: any row will do.
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
