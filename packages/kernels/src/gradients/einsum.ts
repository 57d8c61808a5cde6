import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '../errors.js';
import {gradientPatch} from '../gradient-patches.js';
import type {AnyPatch} from '../patches.js';

interface Spec {
  operands: string[];
  output: string;
}

function parse(equation: string): Spec {
  const [left, output] = equation.replace(/\s/g, '').split('->');
  if (left === undefined || output === undefined) {
    throw new ConfigError(`einsum: equation '${equation}' has no output. Write it as 'ab,bc->ac'.`);
  }
  return {operands: left.split(','), output};
}

const sizeOf = (labels: string, sizes: Map<string, number>): number =>
  [...labels].reduce((product, label) => product * sizes.get(label)!, 1);

const only = (labels: string, test: (label: string) => boolean): string => [...labels].filter(test).join('');

/** Sums `t` over its labels that are not wanted, and puts the rest in the wanted order. */
function arrange(t: tf.Tensor, labels: string, wanted: string): tf.Tensor {
  const surplus = [...labels].flatMap((label, axis) => (wanted.includes(label) ? [] : [axis]));
  const left = only(labels, (label) => wanted.includes(label));
  const summed = surplus.length > 0 ? tf.sum(t, surplus) : t;
  return left === wanted
    ? summed
    : tf.transpose(
        summed,
        [...wanted].map((label) => left.indexOf(label)),
      );
}

/**
 * Einsum of one or two operands as transposes and one batched product, so that it runs wherever those do, and
 * is right where stock's kernel is not: that one drops an operand of which every label is in the other and in
 * the output.
 *
 * @throws ConfigError if the equation has no output, a repeated label in one operand, or more than two
 * operands.
 */
export function einsumByProducts(equation: string, inputs: tf.Tensor[]): tf.Tensor {
  const {operands, output} = parse(equation);
  if (operands.some((labels) => new Set(labels).size < labels.length)) {
    throw new ConfigError(
      `einsum: a label occurs twice in one operand of '${equation}', which is not supported.`,
    );
  }
  if (inputs.length !== operands.length || inputs.length > 2) {
    throw new ConfigError(
      `einsum: '${equation}' must name as many operands as are passed, one or two. Correct the equation.`,
    );
  }
  const [a, b] = operands as [string, string?];
  const sizes = new Map(
    operands.flatMap((labels, i) => [...labels].map((label, j) => [label, inputs[i]!.shape[j]!] as const)),
  );
  if (b === undefined) return arrange(inputs[0]!, a, output);
  const shared = (label: string): boolean => a.includes(label) && b.includes(label);
  const batch = only(output, shared);
  const inner = only(a, (label) => shared(label) && !output.includes(label));
  const rows = only(output, (label) => !b.includes(label));
  const columns = only(output, (label) => !a.includes(label));
  const fold = (t: tf.Tensor, middle: string, last: string): tf.Tensor3D =>
    tf.reshape(t, [sizeOf(batch, sizes), sizeOf(middle, sizes), sizeOf(last, sizes)]);
  const left = fold(arrange(inputs[0]!, a, batch + rows + inner), rows, inner);
  const right = fold(arrange(inputs[1]!, b, batch + inner + columns), inner, columns);
  const order = batch + rows + columns;
  const product = tf.reshape(
    tf.matMul(left, right),
    [...order].map((label) => sizes.get(label)!),
  );
  return arrange(product, order, output);
}

/**
 * Gradient of operand i: the other operand times the upstream gradient, broadcast over the labels that only
 * operand i has.
 */
function einsumGradient(equation: string, inputs: tf.Tensor[], i: number, dy: tf.Tensor): tf.Tensor {
  const {operands, output} = parse(equation);
  const own = operands[i]!;
  const others = operands.filter((_, j) => j !== i);
  const known = output + others.join('');
  const kept = only(own, (label) => known.includes(label));
  const product = einsumByProducts(`${[output, ...others].join(',')}->${kept}`, [
    dy,
    ...inputs.filter((_, j) => j !== i),
  ]);
  if (kept === own) return product;
  const {shape} = inputs[i]!;
  const spread = shape.map((size, axis) => (known.includes(own[axis]!) ? size : 1));
  return tf.broadcastTo(tf.reshape(product, spread), shape);
}

/** Einsum has no gradient in stock tfjs. */
export const EINSUM_GRADIENT: AnyPatch = gradientPatch<tf.EinsumAttrs>({
  kernelName: 'Einsum',
  saveAllInputs: true,
  gradFunc: (dy, saved, {equation}) =>
    Object.fromEntries(saved.map((_, i) => [i, () => einsumGradient(equation, saved, i, dy)])),
});
