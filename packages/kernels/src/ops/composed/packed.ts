import * as tf from '@tensorflow/tfjs-core';
import type {PackedAttrs} from '../../kernel-attrs.js';
import type {ComposedKernel} from '../../kernel-map.js';
import {type HalfFormat, halfTable} from '../../packed/halves.js';
import {codesPerWord, type GivenParts, HALF_BITS} from '../../packed/layout.js';
import {checkWords} from '../../packed/words.js';

type Parts = GivenParts<tf.Tensor>;

const int = (value: number): tf.Scalar => tf.scalar(value, 'int32');

/** Divides an integer that is a multiple of the divisor: elsewhere, stock's division of large ones rounds. */
function over(multiple: tf.Tensor, divisor: tf.Tensor): tf.Tensor {
  return tf.floorDiv(multiple, divisor);
}

/** ⌊t / divisor⌋, exactly. */
function quotient(t: tf.Tensor, divisor: number): tf.Tensor {
  return over(tf.sub(t, tf.mod(t, int(divisor))), int(divisor));
}

/** The codes of those rows [n], out of the words that hold them: [n, columns], int32. */
function codesAt(words: tf.Tensor, rows: tf.Tensor, bits: number, wordBits: number): tf.Tensor {
  const perWord = codesPerWord(bits, wordBits);
  const powers = Int32Array.from({length: perWord}, (_, i) => 2 ** (bits * i));
  // The code that ends at the sign has no power of two above it: there the division is all, and its sign is
  // taken off in the end.
  const ends = Int32Array.from({length: perWord}, (_, i) => 2 ** Math.min(bits * (i + 1), 30));
  const tops = Int32Array.from({length: perWord}, (_, i) => (bits * (i + 1) > 30 ? 1 : 0));
  const place = tf.mod(rows, int(perWord));
  const column = (table: Int32Array): tf.Tensor =>
    tf.reshape(tf.gather(tf.tensor1d(table, 'int32'), place), [-1, 1]);
  const word = tf.gather(words, quotient(rows, perWord));
  const power = column(powers);
  const above = tf.sub(word, tf.mod(word, power));
  const signed = tf.broadcastTo(tf.cast(column(tops), 'bool'), word.shape);
  const own = tf.where(signed, above, tf.mod(above, column(ends)));
  return tf.mod(over(own, power), int(2 ** bits));
}

/** Numbers of 16 bits as float32. */
function fromHalves(halves: tf.Tensor, format: HalfFormat): tf.Tensor {
  const {mantissa, hidden, power} = halfTable(format);
  const upper = quotient(halves, 2 ** mantissa);
  const lower = tf.cast(tf.mod(halves, int(2 ** mantissa)), 'float32');
  return tf.mul(tf.add(lower, tf.gather(tf.tensor1d(hidden), upper)), tf.gather(tf.tensor1d(power), upper));
}

/** W[rows, :] for rows [n], int32, that are in W. */
function unpacked(parts: Parts, attrs: PackedAttrs, rows: tf.Tensor): tf.Tensor2D {
  const {bits, wordBits, values, group, zero, halfScale, halfOffset} = attrs;
  checkWords('packed matrix', wordBits);
  const codes = codesAt(parts.codes!, rows, bits, wordBits);
  const unit = quotient(rows, group);
  const floats = (part: tf.Tensor, half: boolean): tf.Tensor =>
    half ? fromHalves(codesAt(part, unit, HALF_BITS, wordBits), 'f16') : tf.gather(part, unit);
  let w: tf.Tensor;
  if (values === 'integer') {
    const less = parts.zeros === undefined ? int(zero ?? 0) : codesAt(parts.zeros, unit, bits, wordBits);
    w = tf.cast(tf.sub(codes, less), 'float32');
  } else if (values === 'codebook') w = tf.gather(parts.codebook!, codes);
  else w = fromHalves(codes, values as HalfFormat);
  if (parts.scale !== undefined) w = tf.mul(w, floats(parts.scale, halfScale));
  if (parts.offset !== undefined) w = tf.add(w, floats(parts.offset, halfOffset));
  return w as tf.Tensor2D;
}

/** All of W. */
function whole(parts: Parts, attrs: PackedAttrs): tf.Tensor2D {
  const [rows, columns] = attrs.shape;
  if (rows * columns === 0) return tf.zeros([rows, columns]);
  return unpacked(parts, attrs, tf.range(0, rows, 1, 'int32'));
}

export const PeftUnpackRows: ComposedKernel<'PeftUnpackRows'> = ({inputs, attrs}) =>
  tf.tidy(() => {
    const {indices, ...parts} = inputs;
    const [rows, columns] = attrs.shape;
    if (indices === undefined) return whole(parts, attrs);
    const all: tf.Tensor = indices;
    if (all.size * columns === 0) return tf.zeros([all.size, columns]);
    // Padding in the last word is no row: it counts as far out, and is nothing where stock's Gather takes it.
    const inside = tf.logicalAnd(tf.greaterEqual(all, int(0)), tf.less(all, int(rows)));
    const safe = tf.where(inside, all, tf.fill(all.shape, -wordsAway(attrs), 'int32'));
    return tf.mul(unpacked(parts, attrs, safe), tf.reshape(tf.cast(inside, 'float32'), [-1, 1]));
  });

/** So far before the first row that it is in no word and no unit either. */
const wordsAway = ({bits, wordBits, group}: PackedAttrs): number =>
  Math.max(codesPerWord(bits, wordBits), HALF_BITS * group);

export const PeftPackedMatMul: ComposedKernel<'PeftPackedMatMul'> = ({inputs, attrs}) =>
  tf.tidy(() => {
    const {x, bias, ...parts} = inputs;
    const [rows, columns] = attrs.shape;
    // Stock wasm's product complains of empty operands.
    const product =
      x.size * rows * columns === 0
        ? tf.zeros([x.shape[0], attrs.transposeW ? rows : columns])
        : tf.matMul(x, whole(parts, attrs), false, attrs.transposeW);
    return bias === undefined ? product : tf.add(product, bias);
  });
