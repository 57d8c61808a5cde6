import {type Activation, type Mix, SCALES, type ScaleName} from '../types.js';
import {activationReference} from './activations.js';
import {at, generate, type Matrix, matMulReference} from './matrix.js';

/**
 * Inputs of {@link combineReference}: the kernel's own names; vectors are matrices of one row, gates by head
 * [n, heads · E].
 */
export interface CombineReferenceInputs {
  x?: Matrix;
  kernel?: Matrix;
  bias?: Matrix;
  z?: Matrix;
  h?: Matrix;
  b?: Matrix;
  gates?: Matrix;
  offset?: Matrix;
  pre?: Matrix;
  preGates?: Matrix;
  preTable?: Matrix;
  alpha?: Matrix;
  alphaGates?: Matrix;
  alphaTable?: Matrix;
  beta?: Matrix;
  betaGates?: Matrix;
  betaTable?: Matrix;
  post?: Matrix;
  postGates?: Matrix;
  postTable?: Matrix;
}

/**
 * mix(h, gates): see `Mix`.
 *
 * @example
 * ```ts
 * import {matrix, mixReference} from '@tfjs-peft/kernels/reference';
 *
 * const mixed = mixReference(matrix(1, 2, [1, 2]), matrix(1, 2, [0.5, 0.5]), 'expert'); // [0.5, 1]
 * ```
 */
export function mixReference(h: Matrix, gates: Matrix | undefined, mix: Mix): Matrix {
  if (mix === 'none' || gates === undefined) return h;
  if (mix === 'expert') {
    const rank = h.columns / gates.columns;
    return generate(h.rows, h.columns, (i, j) => at(h, i, j) * at(gates, i, Math.floor(j / rank)));
  }
  const width = gates.columns / h.columns;
  return generate(h.rows, width, (i, j) => {
    let sum = 0;
    for (let k = 0; k < h.columns; k++) sum += at(h, i, k) * at(gates, i, k * width + j);
    return sum;
  });
}

function scaleAt(
  inputs: CombineReferenceInputs,
  name: ScaleName,
  heads = 1,
): (row: number, column: number) => number {
  const gates = inputs[`${name}Gates`];
  if (gates !== undefined) {
    const table = inputs[`${name}Table`]!;
    const full = generate(gates.rows, table.columns, (i, j) => {
      const head = Math.floor(j / (table.columns / heads));
      let sum = 0;
      for (let e = 0; e < table.rows; e++) sum += at(gates, i, head * table.rows + e) * at(table, e, j);
      return sum;
    });
    return (i, j) => at(full, i, j);
  }
  const vector = inputs[name];
  return vector === undefined ? () => 1 : (_, j) => vector.data[j]!;
}

/**
 * The combine op in float64, written as its formula reads.
 *
 * @example
 * ```ts
 * import {combineReference, matrix} from '@tfjs-peft/kernels/reference';
 *
 * const y = combineReference({x: matrix(1, 2, [1, 2]), kernel: matrix(2, 1, [3, 4])}); // 11
 * ```
 */
export function combineReference(
  inputs: CombineReferenceInputs,
  {
    scale = 1,
    mix = 'none',
    activation = 'linear',
    heads = {},
  }: {scale?: number; mix?: Mix; activation?: Activation; heads?: Partial<Record<ScaleName, number>>} = {},
): Matrix {
  const {x, kernel, bias, h, b, gates, offset} = inputs;
  const [pre, alpha, beta, post] = SCALES.map((name) => scaleAt(inputs, name, heads[name]));
  const base =
    inputs.z ??
    matMulReference(
      generate(x!.rows, x!.columns, (i, j) => at(x!, i, j) * pre!(i, j)),
      kernel!,
    );
  const tail = h === undefined ? undefined : matMulReference(mixReference(h, gates, mix), b!);
  return generate(base.rows, base.columns, (i, j) => {
    const z = at(base, i, j) + (bias?.data[j] ?? 0);
    const delta = tail === undefined ? 0 : beta!(i, j) * scale * at(tail, i, j);
    const u = alpha!(i, j) * z + delta + (offset?.data[j] ?? 0);
    return post!(i, j) * activationReference[activation](u);
  });
}
