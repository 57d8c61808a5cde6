import * as tf from '@tensorflow/tfjs-core';
import {withArticle} from '../../core/messages.js';
import {constantAt} from '../constants.js';
import {followingEpilogue} from '../epilogue.js';
import {attribute} from '../internals.js';
import type {MatchNode} from './node-site.js';
import {plainProduct} from './product.js';

/** An Einsum that is one product: its letters, by what becomes of them. */
interface Projection {
  /** Axes of x that stay, in its order. */
  free: string;
  /** Axes that are summed over, in the order of x. */
  contracted: string;
  /** Axes that the weight brings, in its order. */
  brought: string;
  x: string;
  weight: string;
  y: string;
}

/**
 * What an equation of two operands does, of which the one at `weightIndex` is a weight; or a text that says
 * why it is not a projection.
 */
function readEquation(equation: string, weightIndex: number): Projection | string {
  const [terms, y] = equation.replace(/\s/g, '').split('->') as [string, string | undefined];
  const operands = terms.split(',');
  if (y === undefined || operands.length !== 2)
    return `has the equation ${equation}, which is not of the form a,b->c`;
  const weight = operands[weightIndex]!;
  const x = operands[1 - weightIndex]!;
  if ([x, weight, y].some((term) => new Set(term).size !== term.length || !/^[a-z]*$/.test(term))) {
    return `has the equation ${equation}, which repeats a letter within one operand`;
  }
  const letters = (term: string, keep: (letter: string) => boolean) => [...term].filter(keep).join('');
  const contracted = letters(x, (letter) => weight.includes(letter) && !y.includes(letter));
  const free = letters(x, (letter) => !weight.includes(letter));
  const brought = letters(weight, (letter) => !x.includes(letter));
  const whole = (term: string, parts: string) => [...term].sort().join('') === [...parts].sort().join('');
  if (contracted === '') return `has the equation ${equation}, which sums over no axis`;
  if (!whole(x, free + contracted) || !whole(weight, contracted + brought) || !whole(y, free + brought)) {
    return `has the equation ${equation}, which is not a single product of x and a matrix`;
  }
  return {free, contracted, brought, x, weight, y};
}

/** The order of axes that turns `from` into `to`; undefined if they are in order. */
function permutation(from: string, to: string): number[] | undefined {
  return from === to ? undefined : [...to].map((letter) => from.indexOf(letter));
}

function inOrder(x: tf.Tensor, order: number[] | undefined): tf.Tensor {
  return order === undefined ? x : tf.transpose(x, order);
}

/**
 * An Einsum with a constant that is one product, such as `abc,cde->abde` and `abcd,cde->abe`. It runs as that
 * product, and so works on backends without Einsum too.
 */
export const matchEinsum: MatchNode = (executor, node) => {
  const equation = attribute<string>(node, 'equation') ?? '';
  const constants = [0, 1].map((input) => constantAt(executor, node, input));
  const weightIndex = constants[1] !== undefined ? 1 : 0;
  const weight = constants[weightIndex];
  if (weight === undefined)
    return {reason: `multiplies two tensors (${equation}), neither of which is a constant`};
  if (weight.dtype !== 'float32')
    return {reason: `has ${withArticle(weight.dtype)} weight; adapters need float32`};
  const projection = readEquation(equation, weightIndex);
  if (typeof projection === 'string') return {reason: projection};
  const {free, contracted, brought} = projection;
  if (projection.weight.length !== weight.shape.length) {
    return {reason: `has the equation ${equation}, which does not fit its weight [${weight.shape}]`};
  }
  const sizes = (letters: string) =>
    [...letters].map((letter) => weight.shape[projection.weight.indexOf(letter)]!);
  const outDims = sizes(brought);
  const dims = [tf.util.sizeFromShape(sizes(contracted)), tf.util.sizeFromShape(outDims)] as const;
  const ofWeight = permutation(projection.weight, contracted + brought);
  const ofInput = permutation(projection.x, free + contracted);
  const ofOutput = permutation(free + brought, projection.y);
  const epilogue =
    ofOutput === undefined
      ? followingEpilogue(executor, node, dims[1], {columns: outDims, rank: projection.y.length, whole: true})
      : {absorbed: [], tail: undefined};
  const leading = (x: tf.Tensor) => [...free].map((letter) => x.shape[projection.x.indexOf(letter)]!);
  return {
    ...plainProduct(
      weight,
      dims,
      epilogue,
      (value) => tf.reshape(inOrder(value, ofWeight), [...dims]) as tf.Tensor2D,
    ),
    ...(ofWeight && {
      restore: (kernel: tf.Tensor2D) => {
        const inMatrixOrder = tf.reshape(kernel, [...sizes(contracted), ...outDims]);
        return tf.transpose(inMatrixOrder, permutation(contracted + brought, projection.weight));
      },
    }),
    input(inputs) {
      const x = inputs[1 - weightIndex]!;
      // Ops need at least two axes.
      const rows = free === '' ? [1] : leading(x);
      return tf.reshape(inOrder(x, ofInput), [...rows, dims[0]]);
    },
    finish: (y, inputs) =>
      inOrder(tf.reshape(y, [...leading(inputs[1 - weightIndex]!), ...outDims]), ofOutput),
  };
};
