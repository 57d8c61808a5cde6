import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {firstColumns, isPackedKernel, type PackedKernel} from '../packed/matrix.js';
import {expertDown} from './experts.js';
import {definePeftGradient} from './gradients.js';
import {runPeftKernel} from './kernels.js';
import {product} from './matmul.js';
import {packedMatMul} from './packed.js';
import {
  ACTIVATION_RANKS,
  asMatrix,
  checkSize,
  checkTensor,
  flatten,
  leadingSize,
  shapedAs,
} from './shapes.js';
import {choosesSparse} from './sparse.js';

/** Inputs of {@link project}. */
export interface ProjectInputs {
  /** The site's input, [..., dIn], float32. */
  x: tf.Tensor;
  /** The down projection, [dIn, R]; the experts' side by side. */
  a: tf.Tensor2D;
  /**
   * The frozen kernel [dIn, dOut], or packed, where a router asks for columns of the frozen product.
   */
  kernel?: tf.Tensor2D | PackedKernel;
  /** How many leading columns of `x · kernel` are wanted; needs `kernel`. */
  columns?: number;
  /**
   * With `topK`: the gates [..., E] that h will meet in `combine`, by which one knows the experts that each
   * row chose. Where only those are computed, h is zero for the others. No gradient flows from h to the
   * gates.
   */
  gates?: tf.Tensor;
  /**
   * The maximum number of non-zero gates per row; needs `gates`. Default: none, all experts are
   * computed.
   */
  topK?: number;
  /**
   * With `topK`: compute only the chosen experts (true), or all (false), whatever it costs. Default: by
   * cost, see `sparsePays`.
   */
  sparse?: boolean;
}

/**
 * Computes the down projection of a low-rank adapter, h = x A, and, for routers that read the frozen
 * output, the first `columns` columns of x W.
 *
 * @returns `h` [..., R], and `columns` [..., columns] if asked for (without bias).
 * @throws ShapeError if a rank, dtype or size does not fit; ConfigError if `columns` or `topK` is out of
 * range.
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs-core';
 * import {project} from '@tfjs-peft/kernels';
 *
 * const {h} = project({x: tf.ones([2, 4]), a: tf.ones([4, 1])}); // [2, 1]
 * ```
 */
export function project(inputs: ProjectInputs): {h: tf.Tensor; columns?: tf.Tensor} {
  const {x, a, kernel, columns, gates} = inputs;
  checkTensor('project', 'x', x, ACTIVATION_RANKS);
  checkTensor('project', 'a', a, [2]);
  checkSize('project', "a's first axis", a.shape[0], x.shape[x.rank - 1]!, `x [${x.shape}]`);
  if (columns !== undefined) {
    if (kernel === undefined) throw new ConfigError('project: columns needs the frozen kernel. Pass kernel.');
    if (!isPackedKernel(kernel)) checkTensor('project', 'kernel', kernel, [2]);
    checkSize('project', "kernel's first axis", kernel.shape[0], a.shape[0], `x [${x.shape}]`);
    if (!Number.isInteger(columns) || columns < 1 || columns > kernel.shape[1]) {
      throw new ConfigError(
        `project: columns is ${columns}, but must be an integer from 1 to ${kernel.shape[1]}.`,
      );
    }
  }
  const sparse = checkGates(inputs);
  return tf.tidy(() => {
    if (sparse && columns === undefined) {
      const chosen = {x: flatten(x), w: a, gates: flatten(gates!)};
      const h = expertDown(chosen, {scale: 1, transposeW: false});
      return {h: tf.reshape(h, [...x.shape.slice(0, -1), a.shape[1]])};
    }
    if (columns !== undefined && isPackedKernel(kernel!)) {
      const {kernel: _kernel, columns: _columns, ...rest} = inputs;
      return {...project(rest), columns: packedMatMul(x, firstColumns(kernel, columns))};
    }
    const given = {x, a, kernel: columns === undefined ? undefined : (kernel as tf.Tensor2D | undefined)};
    const leading = x.shape.slice(0, -1);
    const [h, taken] = runPeftKernel('PeftProject', given, {columns: columns ?? 0}, {leading});
    return taken === undefined ? {h: h!} : {h: h!, columns: taken};
  });
}

/** Checks the options that tell which experts were chosen, and returns whether to compute only those. */
function checkGates({x, a, gates, topK, sparse}: ProjectInputs): boolean {
  if (gates === undefined) {
    if (topK === undefined) return false;
    throw new ConfigError(
      `project: topK is ${topK}, but there are no gates that say which experts were chosen. Pass gates.`,
    );
  }
  const rows = leadingSize(x.shape);
  checkTensor('project', 'gates', gates, ACTIVATION_RANKS);
  checkSize('project', `the number of rows of gates [${gates.shape}]`, leadingSize(gates.shape), rows, 'x');
  return choosesSparse('project', {topK, sparse}, {rows, width: a.shape[0], all: a.shape[1], gates});
}

definePeftGradient('PeftProject', {}, ({dys, inputs, attrs: {columns}, leading, shared}) => {
  const matrix = (t: tf.Tensor): tf.Tensor2D => shared.make(() => asMatrix(t, leading), t as tf.Tensor2D);
  const [x, a] = [matrix(inputs.x), matrix(inputs.a)];
  const kernel = inputs.kernel && matrix(inputs.kernel);
  const [dh, dColumns] = dys.map(matrix);
  return {
    x: shapedAs(inputs.x, () => {
      if (kernel === undefined) return product(dh!, a, false, true);
      // One product over both, so that nothing of x's size is written twice.
      const head = tf.slice(kernel, [0, 0], [kernel.shape[0], columns]);
      return product(tf.concat([dh!, dColumns!], 1), tf.concat([a, head], 1), false, true);
    }),
    a: () => product(x, dh!, true),
    kernel: () =>
      tf.pad(product(x, dColumns!, true), [
        [0, 0],
        [0, kernel!.shape[1] - columns],
      ]),
  };
});
