import * as tf from '@tensorflow/tfjs-core';
import {PANEL_COLUMNS, panelShape} from '../packed/layout.js';
import type {PackedMatrix} from '../packed/matrix.js';
import {checkTensor} from './shapes.js';

/**
 * A frozen kernel in the order in which the wasm module's products read it: panels of 16 columns, each of all
 * rows. A plain kernel is brought into that order by every product, which costs most where x has 2 to 64
 * rows; a single row is quicker with a plain one. The numbers stay what they are, to the bit: `unpackMatrix`
 * gives them back. It takes the kernel's bytes, and padding where columns do not fill the last panel.
 *
 * Other backends have no use for the order, see `readsPanels`: there each product first restores the plain
 * kernel. With several threads, large plain products of the wasm backend share them, and these do not.
 *
 * @param kernel W [dIn, dOut], float32, which is copied.
 * @throws ShapeError if it is no float32 matrix.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {packedMatMul, prepack} from '@tfjs-peft/kernels';
 *
 * const kernel = prepack(tf.ones([64, 32]));
 * const y = packedMatMul(tf.ones([2, 64]), kernel); // [2, 32]
 * ```
 */
export function prepack(kernel: tf.Tensor2D): PackedMatrix {
  checkTensor('prepack', 'kernel', kernel, [2]);
  const [rows, columns] = kernel.shape;
  const panels = Math.ceil(columns / PANEL_COLUMNS);
  const codes = tf.tidy((): tf.Tensor => {
    if (kernel.size === 0) return tf.zeros(panelShape(kernel.shape));
    const padded = tf.pad(kernel, [
      [0, 0],
      [0, panels * PANEL_COLUMNS - columns],
    ]);
    const split = tf.reshape(padded, [rows, panels, PANEL_COLUMNS]);
    return tf.reshape(tf.transpose(split, [1, 0, 2]), panelShape(kernel.shape));
  });
  const shape = [rows, columns] as const;
  return {shape, bits: 32, values: 'f32', group: Math.max(rows, 1), unitColumns: 1, wordBits: 32, codes};
}

/** The inverse of {@link prepack}, of stock ops. */
export function plainOf({codes, shape: [rows, columns]}: PackedMatrix): tf.Tensor2D {
  return tf.tidy((): tf.Tensor2D => {
    if (rows * columns === 0) return tf.zeros([rows, columns]);
    const panels = Math.ceil(columns / PANEL_COLUMNS);
    const split = tf.transpose(tf.reshape(codes, [panels, rows, PANEL_COLUMNS]), [1, 0, 2]);
    const padded = tf.reshape(split, [rows, panels * PANEL_COLUMNS]) as tf.Tensor2D;
    return tf.slice(padded, [0, 0], [rows, columns]);
  });
}
