import {pick, randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import type {CombineAttrs} from '../kernel-attrs.js';
import type {CombineReferenceInputs} from '../reference/combine.js';
import {type Matrix, matrix} from '../reference/matrix.js';
import {ACTIVATIONS, type Activation, type Mix, SCALES} from '../types.js';

/**
 * One case of the combine op: float32-representable inputs, so that reference and kernel see the same
 * numbers.
 */
export interface CombineCase {
  name: string;
  inputs: CombineReferenceInputs;
  options: Pick<CombineAttrs, 'scale' | 'mix' | 'activation' | 'heads'>;
  /** The leading axes, whose product is the number of rows. */
  leading: number[];
}

export const SIZES = [1, 3, 5, 17, 130] as const;
type ScaleForm = 'none' | 'vector' | 'table';

interface Spec {
  seed: number;
  leading: number[];
  dIn: number;
  dOut: number;
  bias: boolean;
  offset: boolean;
  given: boolean;
  activation: Activation;
  tail: {mix: Mix; experts: number; rank: number} | undefined;
  scales: {pre: ScaleForm; alpha: ScaleForm; beta: ScaleForm; post: ScaleForm};
  /** Heads of the scales that are tables. Default 1. */
  heads?: CombineAttrs['heads'];
}

function build(spec: Spec): CombineCase {
  const random = randomNumbers(spec.seed);
  const rows = spec.leading.reduce((a, b) => a * b, 1);
  const {dIn, dOut, tail} = spec;
  const make = (r: number, c: number, low = -1, high = 1): Matrix =>
    matrix(r, c, randomValues(random, r * c, low, high));
  const inputs: CombineReferenceInputs = spec.given
    ? {z: make(rows, dOut)}
    : {x: make(rows, dIn), kernel: make(dIn, dOut, -1 / Math.sqrt(dIn), 1 / Math.sqrt(dIn))};
  if (spec.bias && !spec.given) inputs.bias = make(1, dOut);
  if (spec.offset) inputs.offset = make(1, dOut);
  if (tail !== undefined) {
    const {mix, experts, rank} = tail;
    const r1 = mix === 'dense' ? experts : experts * rank;
    const r2 = mix === 'dense' ? rank : r1;
    inputs.h = make(rows, r1);
    inputs.b = make(r2, dOut);
    if (mix !== 'none') inputs.gates = make(rows, mix === 'dense' ? r1 * r2 : experts, 0, 1);
  }
  for (const name of SCALES) {
    const width = name === 'pre' ? dIn : dOut;
    if (spec.scales[name] === 'vector') inputs[name] = make(1, width, 0.5, 1.5);
    if (spec.scales[name] === 'table') {
      const experts = 1 + Math.floor(random() * 4);
      inputs[`${name}Gates`] = make(rows, experts * (spec.heads?.[name] ?? 1), 0, 1);
      inputs[`${name}Table`] = make(experts, width, 0.5, 1.5);
    }
  }
  const heads = Object.entries(spec.heads ?? {}).map(([name, count]) => `${name}Heads ${count}`);
  const parts = [...Object.keys(inputs), ...heads].join(' ');
  return {
    name: `#${spec.seed} [${spec.leading},${dIn}]x${dOut} ${spec.activation} ${tail?.mix ?? ''} (${parts})`,
    inputs,
    options: {
      scale: tail ? 1.7 : 1,
      mix: tail?.mix ?? 'none',
      activation: spec.activation,
      ...(spec.heads && {heads: spec.heads}),
    },
    leading: spec.leading,
  };
}

/**
 * A seeded list: every activation with every tail, and the rest at random over odd sizes, ranks 2 to 4 and
 * parts.
 */
export function combineCases(count: number): CombineCase[] {
  const random = randomNumbers(42);
  const tails = [
    undefined,
    {mix: 'none', experts: 1, rank: 4},
    {mix: 'expert', experts: 3, rank: 2},
    {mix: 'dense', experts: 3, rank: 5},
  ] as const;
  return Array.from({length: count}, (_, i) => {
    const rank = 2 + (i % 3);
    const rows = pick(random, SIZES);
    const leading =
      rank === 2
        ? [rows]
        : rank === 3
          ? [pick(random, [1, 2, 3]), Math.min(rows, 17)]
          : [2, 1, pick(random, [1, 3, 5])];
    const tail = tails[Math.floor(i / ACTIVATIONS.length) % tails.length];
    const given = random() < 0.15;
    const form = (): ScaleForm => pick(random, ['none', 'none', 'vector', 'table']);
    return build({
      seed: i,
      leading,
      dIn: pick(random, SIZES),
      dOut: pick(random, SIZES),
      bias: random() < 0.5,
      offset: random() < 0.3,
      given,
      activation: ACTIVATIONS[i % ACTIVATIONS.length]!,
      tail,
      scales: {pre: given ? 'none' : form(), alpha: form(), beta: tail ? form() : 'none', post: form()},
    });
  });
}

/**
 * Scales with gates by head: heads that end inside a tile of 16 columns and inside a texel, of one column, of
 * a whole number of tiles, and of all columns.
 */
export function headCases(): CombineCase[] {
  const none = {pre: 'none', alpha: 'none', beta: 'none', post: 'none'} as const;
  const plain = {bias: false, offset: false, given: false, activation: 'linear', tail: undefined} as const;
  const specs: Omit<Spec, 'seed'>[] = [
    {...plain, leading: [5], dIn: 3, dOut: 130, scales: {...none, post: 'table'}, heads: {post: 13}},
    {...plain, leading: [2, 3], dIn: 17, dOut: 64, scales: {...none, alpha: 'table'}, heads: {alpha: 4}},
    {
      ...plain,
      leading: [3, 1, 5],
      dIn: 30,
      dOut: 21,
      bias: true,
      offset: true,
      activation: 'gelu',
      tail: {mix: 'expert', experts: 3, rank: 2},
      scales: {pre: 'table', alpha: 'table', beta: 'table', post: 'vector'},
      heads: {pre: 2, alpha: 3, beta: 7},
    },
    {
      ...plain,
      leading: [17],
      dIn: 5,
      dOut: 5,
      activation: 'tanh',
      scales: {pre: 'table', alpha: 'none', beta: 'none', post: 'table'},
      heads: {pre: 5, post: 5},
    },
    {
      ...plain,
      leading: [1],
      dIn: 12,
      dOut: 96,
      given: true,
      activation: 'relu',
      scales: {...none, alpha: 'vector', post: 'table'},
      heads: {post: 2},
    },
    {
      ...plain,
      leading: [33],
      dIn: 9,
      dOut: 34,
      tail: {mix: 'none', experts: 1, rank: 4},
      scales: {pre: 'none', alpha: 'none', beta: 'table', post: 'table'},
      heads: {beta: 17},
    },
    {...plain, leading: [2, 2], dIn: 3, dOut: 9, scales: {...none, post: 'table'}, heads: {post: 1}},
  ];
  return specs.map((spec, i) => build({...spec, seed: 1000 + i}));
}
