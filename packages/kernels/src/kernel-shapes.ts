import {ConfigError} from './errors.js';
import {
  ACTIVATION_GRAD,
  ADAM,
  BLEND,
  BLEND_GRAD,
  COLUMN_SUM,
  COMBINE,
  EXPERT_DOWN,
  EXPERT_OUTER,
  EXPERT_UP,
  GATES,
  LAYER_NORM,
  LAYER_NORM_GRAD,
  MATMUL,
  MIX,
  MIX_GRAD,
  PROJECT,
  SOFTMAX_GRAD,
  STREAM_GATES,
  STREAM_GATES_GRAD,
} from './kernel-names.js';
import {ACTIVATIONS} from './types.js';

/*
 * What the inputs of each kernel of ours have to be to each other. A kernel takes its sizes from some of its inputs and reads and writes all
 * of them by those: on wasm, past their ends. So every call is compared with this table first, on every backend, whoever makes it.
 */

export type Attrs = Record<string, unknown>;
export type Shapes = Record<string, readonly number[]>;
export type Sizes = Record<string, number>;

/**
 * The axes of each input by name: one letter or word an axis, of which the same has one size throughout. `?` behind an input's name
 * says that it may be left out; `*` stands for any axes, the same ones throughout.
 */
export type Axes = Record<string, string>;

export interface Rule {
  axes: Axes | ((attrs: Attrs, shapes: Shapes) => Axes);
  /** What else has to hold; the complaint where it does not. */
  also?(sizes: Sizes, attrs: Attrs, shapes: Shapes): string | undefined;
}

const SCALE_NAMES = ['pre', 'alpha', 'beta', 'post'] as const;

const divides = (part: number, whole: number): boolean => part > 0 && whole % part === 0;

/** The gates of `mix` beside h: r1 columns that become r2. */
function mixComplaint(mix: unknown, {r1, g, r2}: Sizes): string | undefined {
  if (mix === 'expert') {
    if (!divides(g!, r1!)) return `h has ${r1} columns, which must be a multiple of the ${g} gates`;
    if (r2 !== undefined && r2 !== r1) return `mix 'expert' leaves h's ${r1} columns, but there are ${r2}`;
    return undefined;
  }
  if (mix !== 'dense') throw new ConfigError(`mix is '${mix}', but with gates must be 'expert' or 'dense'.`);
  if (!divides(r1!, g!)) return `there are ${g} gates, which must be a multiple of h's ${r1} columns`;
  if (r2 !== undefined && r2 !== g! / r1!)
    return `mix 'dense' makes ${r1} columns ${g! / r1!}, but there are ${r2}`;
  return undefined;
}

/** The parts of a combine that stand or fall together. */
function combineComplaint(sizes: Sizes, attrs: Attrs, shapes: Shapes): string | undefined {
  const {mix, activation, heads, sparse} = attrs;
  checkActivation(activation);
  const has = (name: string): boolean => shapes[name] !== undefined;
  if (has('z') === has('x')) return 'it needs either x and kernel, or z';
  if (has('z') && ['kernel', 'bias', 'pre', 'preGates'].some(has)) return 'kernel, bias and pre go with x';
  if (has('h') !== has('b')) return 'h and b go together';
  if (!has('h') && ['gates', 'beta', 'betaGates'].some(has)) return 'gates and beta go with h and b';
  for (const name of SCALE_NAMES) {
    if (has(`${name}Gates`) !== has(`${name}Table`)) return `${name}Gates and ${name}Table go together`;
    if (has(name) && has(`${name}Gates`)) return `it has two scales called ${name}`;
    const count = (heads as Sizes | undefined)?.[name] ?? 1;
    if (!has(`${name}Gates`)) continue;
    const [gates, experts, width] = [`${name}Gates`, `${name}Experts`, name === 'pre' ? 'd' : 'w'].map(
      (axis) => sizes[axis],
    ) as [number, number, number];
    if (gates !== count * experts)
      return `${name}Gates has ${gates} columns, but needs ${count} · ${experts}`;
    if (!divides(count, width) && count !== 1)
      return `${count} heads of ${name} do not divide ${width} columns`;
  }
  if (!has('gates')) {
    if (has('h') && mix !== 'none')
      throw new ConfigError(`mix is '${mix}', but without gates must be 'none'.`);
    if (sparse) return 'the sparse path needs gates';
    return sizes.r1 === sizes.r2 ? undefined : `h has ${sizes.r1} columns, but b ${sizes.r2} rows`;
  }
  if (sparse && mix !== 'expert')
    throw new ConfigError(`mix is '${mix}', but the sparse path is of 'expert'.`);
  return mixComplaint(mix, sizes);
}

function checkActivation(activation: unknown): void {
  if (!(ACTIVATIONS as readonly unknown[]).includes(activation))
    throw new ConfigError(`activation '${activation}' is none of ${ACTIVATIONS.join(', ')}.`);
}

const ranks = ({experts, all}: Sizes): string | undefined =>
  divides(experts!, all!) ? undefined : `${all} columns hold no ${experts} experts side by side`;

const scaleAxes = (name: string, width: string): Axes => ({
  [`${name}?`]: width,
  [`${name}Gates?`]: `n ${name}Gates`,
  [`${name}Table?`]: `${name}Experts ${width}`,
});

/** The rule of each kernel. */
export const RULES: Record<string, Rule> = {
  [MATMUL]: {
    axes: ({transposeA, transposeB}, {a, b}) => ({
      a: `${a?.length === 3 ? 'batchA ' : ''}${transposeA ? 'k m' : 'm k'}`,
      b: `${b?.length === 3 ? 'batchB ' : ''}${transposeB ? 'n k' : 'k n'}`,
    }),
    also: ({batchA = 1, batchB = 1}) =>
      batchA === batchB || batchA === 1 || batchB === 1
        ? undefined
        : `the batches of ${batchA} and ${batchB} must be equal, or one of them 1`,
  },
  [PROJECT]: {
    axes: {x: 'n d', a: 'd r', 'kernel?': 'd w'},
    also: ({w}, {columns}) => {
      if (
        w === undefined ||
        (Number.isInteger(columns) && divides(1, columns as number) && (columns as number) <= w)
      )
        return undefined;
      throw new ConfigError(`columns is ${columns}, but must be a whole number from 0 to ${w}.`);
    },
  },
  [COMBINE]: {
    axes: {
      'x?': 'n d',
      'kernel?': 'd w',
      'z?': 'n w',
      'bias?': 'w',
      'h?': 'n r1',
      'b?': 'r2 w',
      'gates?': 'n g',
      'offset?': 'w',
      ...scaleAxes('pre', 'd'),
      ...scaleAxes('alpha', 'w'),
      ...scaleAxes('beta', 'w'),
      ...scaleAxes('post', 'w'),
    },
    also: combineComplaint,
  },
  [MIX]: {axes: {h: 'n r1', gates: 'n g'}, also: (sizes, {mix}) => mixComplaint(mix, sizes)},
  [MIX_GRAD]: {
    axes: {dhm: 'n r2', h: 'n r1', gates: 'n g'},
    also: (sizes, {mix}) => mixComplaint(mix, sizes),
  },
  [EXPERT_DOWN]: {
    axes: ({transposeW}) => ({x: 'n d', w: transposeW ? 'all d' : 'd all', gates: 'n experts'}),
    also: ranks,
  },
  [EXPERT_UP]: {
    axes: ({transposeW}) => ({p: 'n all', w: transposeW ? 'd all' : 'all d', gates: 'n experts'}),
    also: ranks,
  },
  [EXPERT_OUTER]: {axes: {p: 'n all', q: 'n d', gates: 'n experts'}, also: ranks},
  [ACTIVATION_GRAD]: {
    axes: {dy: 'n w', ref: 'n w'},
    also: (_sizes, {activation}) => checkActivation(activation) as undefined,
  },
  [COLUMN_SUM]: {axes: {a: 'n w', 'b?': 'n w'}},
  [BLEND]: {
    axes: {'token?': 'n w', 'sample?': 's w', share: '1', gate: '1'},
    also: ({n, s}, {rows}) => {
      if (n === undefined && s === undefined) return 'it needs token, sample or both';
      if (n !== undefined && n !== rows) return `token has ${n} rows, but rows is ${rows}`;
      if (s === undefined || rows === 0 || divides(s, rows as number)) return undefined;
      return `sample has ${s} rows, which must divide the ${rows} of the output`;
    },
  },
  [BLEND_GRAD]: {
    axes: {'token?': 'w', 'sample?': 'w', share: '1', gate: '1'},
    also: ({w}) => (w === undefined ? 'it needs token, sample or both' : undefined),
  },
  [ADAM]: {axes: {value: '*', m: '*', v: '*', gradient: '*'}},
  [LAYER_NORM]: {axes: {x: 'n w', 'gamma?': 'w', 'beta?': 'w'}},
  [LAYER_NORM_GRAD]: {axes: {dy: 'n w', x: 'n w', 'gamma?': 'w'}},
  [GATES]: {axes: {x: 'n d', kernel: 'd w'}},
  [SOFTMAX_GRAD]: {axes: {dy: 'n w', y: 'n w'}},
  [STREAM_GATES]: {axes: {a: 'n w', b: 'n w'}},
  [STREAM_GATES_GRAD]: {
    axes: {'dGates?': 'n w', 'gates?': 'n w', dp: 'n w', a: 'n w', b: 'n w', p: 'n w'},
    also: (_sizes, _attrs, {dGates, gates}) =>
      (dGates === undefined) === (gates === undefined) ? undefined : 'dGates and gates go together',
  },
};
