import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError, ShapeError} from '../errors.js';
import type {PackedAttrs} from '../kernel-attrs.js';
import {halvesOf, type PackedKernel, type PackedMatrix, packedTensors} from '../packed/matrix.js';
import {checkWords, readsPanels} from '../packed/words.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {columnSum, product} from './matmul.js';
import {plainOf} from './prepack.js';
import {ACTIVATION_RANKS, asMatrix, checkSize, checkTensor, shapedAs} from './shapes.js';

/** What the kernels are told of a packed matrix. */
function packedAttrs(op: string, packed: PackedMatrix): PackedAttrs {
  const {shape, bits, values, group, unitColumns, zero, wordBits} = packed;
  checkWords(op, wordBits);
  const halves = halvesOf(packed);
  return {
    ...{shape, bits, values, group, unitColumns, wordBits},
    ...(zero !== undefined && {zero}),
    ...{halfScale: halves.scale, halfOffset: halves.offset},
  };
}

/** Whether a matrix lies in panels that the active backend does not read. */
function isElsewhere({values}: PackedMatrix): boolean {
  return values === 'f32' && !readsPanels();
}

/**
 * x W + bias for a matrix W that is packed, or with `transposeW` x W^T + bias. W is unpacked as it is used,
 * and never whole on a backend with a kernel of ours. Gradients flow to x and bias; the packed parts have
 * none.
 *
 * @param x [..., dIn], float32, or with `transposeW` [..., dOut].
 * @param packed W [dIn, dOut], see {@link packMatrix}, or the transpose of one, see {@link transposePacked}.
 * @param options `bias`: as wide as the output, float32, default none. `transposeW`: default false.
 * @returns [..., dOut], or with `transposeW` [..., dIn], float32.
 * @throws ShapeError if a rank, dtype or size does not fit; ConfigError if the parts of W contradict each
 * other; BackendError if W was packed for a backend of wider words.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {packedMatMul, packMatrix} from '@tfjs-peft/kernels';
 *
 * const kernel = packMatrix(new Uint8Array(64 * 32), {shape: [64, 32], bits: 4, zero: 8});
 * const y = packedMatMul(tf.ones([2, 5, 64]), kernel, {bias: tf.zeros([32])}); // [2, 5, 32]
 * ```
 */
export function packedMatMul(
  x: tf.Tensor,
  packed: PackedKernel,
  {bias, transposeW = false}: {bias?: tf.Tensor1D | undefined; transposeW?: boolean} = {},
): tf.Tensor {
  if ('transposeOf' in packed) return packedMatMul(x, packed.transposeOf, {bias, transposeW: !transposeW});
  const [dIn, dOut] = transposeW ? [packed.shape[1], packed.shape[0]] : packed.shape;
  checkTensor('packedMatMul', 'x', x, ACTIVATION_RANKS);
  checkSize('packedMatMul', "x's last axis", x.shape[x.rank - 1]!, dIn, `the matrix [${packed.shape}]`);
  if (bias !== undefined) {
    checkTensor('packedMatMul', 'bias', bias, [1]);
    checkSize('packedMatMul', 'the size of bias', bias.shape[0], dOut, `the matrix [${packed.shape}]`);
  }
  if (isElsewhere(packed)) {
    return tf.tidy(() => {
      const y = product(asMatrix(x, x.shape.slice(0, -1)), plainOf(packed), false, transposeW);
      return tf.reshape(bias === undefined ? y : tf.add(y, bias), [...x.shape.slice(0, -1), dOut]);
    });
  }
  const attrs = {...packedAttrs('packedMatMul', packed), transposeW};
  const inputs = {x, ...packedTensors(packed), bias};
  return runPeftKernel('PeftPackedMatMul', inputs, attrs, {leading: x.shape.slice(0, -1)});
}

/**
 * Rows of a matrix that is packed, as of an embedding table.
 *
 * @param indices Of any shape, int32, each a row of W; what becomes of others is as in `tf.gather`. Default:
 * all rows in order.
 * @returns [..., dOut], float32, or [dIn, dOut] without indices.
 * @throws ShapeError if indices are not int32; ConfigError if the parts of W contradict each other;
 * BackendError if W was packed for a backend of wider words.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {packMatrix, unpackRows} from '@tfjs-peft/kernels';
 *
 * const table = packMatrix(new Uint8Array(100 * 8), {shape: [100, 8], bits: 8, zero: 128});
 * const vectors = unpackRows(table, tf.tensor2d([[5, 7, 99]], undefined, 'int32')); // [1, 3, 8]
 * ```
 */
export function unpackRows(packed: PackedMatrix, indices?: tf.Tensor): tf.Tensor {
  if (indices !== undefined && indices.dtype !== 'int32')
    throw new ShapeError(
      `unpackRows: indices is ${indices.dtype}, but must be int32. Cast it: tf.cast(indices, 'int32').`,
    );
  if (isElsewhere(packed)) {
    if (indices === undefined) return plainOf(packed);
    return tf.tidy(() => tf.gather(plainOf(packed), indices));
  }
  const attrs = packedAttrs('unpackRows', packed);
  const parts = packedTensors(packed);
  if (indices === undefined) return runPeftKernel('PeftUnpackRows', parts, attrs);
  return tf.tidy(() => {
    const flat = runPeftKernel('PeftUnpackRows', {...parts, indices: tf.reshape(indices, [-1])}, attrs);
    return tf.reshape(flat, [...indices.shape, packed.shape[1]]);
  });
}

/**
 * A packed matrix as a plain one.
 *
 * @returns W [dIn, dOut], float32.
 * @throws ConfigError if the parts of W contradict each other; BackendError if W was packed for a backend of
 * wider words.
 * @example
 * ```ts
 * import {packMatrix, unpackMatrix} from '@tfjs-peft/kernels';
 *
 * const w = unpackMatrix(packMatrix(Uint8Array.of(0, 1, 2, 3), {shape: [2, 2], bits: 2}));
 * ```
 */
export function unpackMatrix(packed: PackedMatrix): tf.Tensor2D {
  return unpackRows(packed) as tf.Tensor2D;
}

definePeftGradient('PeftPackedMatMul', {}, ({dy, inputs, attrs, leading, shared}) => {
  const {x, bias, ...parts} = inputs;
  const matrix = shared.make(() => asMatrix(dy, leading), dy as tf.Tensor2D);
  const none = (): tf.Tensor => {
    throw new NoGradientError(
      'packedMatMul: a packed matrix has no gradient. Ask for that of x or bias, or train the plain matrix: ' +
        'unpackMatrix(packed).',
    );
  };
  return {
    ...Object.fromEntries(Object.keys(parts).map((name) => [name, none])),
    x: shapedAs(x, () =>
      runPeftKernel('PeftPackedMatMul', {x: matrix, ...parts}, {...attrs, transposeW: !attrs.transposeW}),
    ),
    ...(bias && {bias: () => columnSum(matrix)}),
  };
});
