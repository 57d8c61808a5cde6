import type {DataType, KernelBackend, Tensor, Tensor2D, TensorInfo} from '@tensorflow/tfjs-core';
import {ConfigError} from './errors.js';
import type {
  AdamAttrs,
  BlendAttrs,
  BlendGradAttrs,
  CombineAttrs,
  DownAttrs,
  GatesAttrs,
  LayerNormAttrs,
  MatMulAttrs,
  OuterAttrs,
  PackedAttrs,
  PackedMatMulAttrs,
  ProjectAttrs,
  SoftmaxGradAttrs,
  StreamGatesAttrs,
  TopKAttrs,
  UpAttrs,
} from './kernel-attrs.js';
import {checkGrid, PACKED_PARTS, partShapes} from './packed/layout.js';
import {ACTIVATIONS, type Activation, type Mix, SCALES} from './types.js';

/*
 * Every kernel of ours, one row each: its inputs and their axes, its attributes, its outputs. What calls a
 * kernel, what registers one for a backend and what tests it take their types from here. A kernel takes its
 * sizes from some of its inputs and reads and writes all of them by those: on wasm, past their ends. So every
 * call is compared with its row first, on every backend, whoever makes it.
 */

/** Shapes of inputs by name. */
export type Shapes = Record<string, readonly number[]>;
/** Sizes of axes by name. */
export type Sizes = Record<string, number>;

/**
 * The axes of each input by name: one letter or word per axis, and axes of the same name have the same size.
 * `?` after the name of an input says that it may be left out; `*` stands for any axes, the same ones
 * everywhere.
 */
export type Axes = Record<string, string>;

/** A backend that has kernels of ours. */
export type BackendName = 'cpu' | 'wasm' | 'webgl' | 'webgpu';

export const KERNEL_BACKENDS = ['cpu', 'wasm', 'webgl', 'webgpu'] as const satisfies BackendName[];

/** A row of the map, for kernels with those inputs, attributes and outputs. */
export interface Row<Inputs extends Axes, Attrs, Output extends 'one' | 'list'> {
  axes: Inputs | ((attrs: Attrs, shapes: Shapes) => Inputs);
  /** Whether the kernel returns a tensor or a list of them. */
  output: Output;
  /** The inputs' dtypes, where not float32. */
  dtypes?: (attrs: Attrs) => Record<string, DataType>;
  /** Checks what else has to hold, and returns the complaint if it does not. */
  also?: (sizes: Sizes, attrs: Attrs, shapes: Shapes) => string | undefined;
  /** The backends that have it, if not all of ours do. */
  only?: readonly BackendName[];
}

/** A row whose kernel takes these attributes. */
const kernel =
  <Attrs>() =>
  <const Inputs extends Axes, Output extends 'one' | 'list'>(
    row: Row<Inputs, Attrs, Output>,
  ): Row<Inputs, Attrs, Output> =>
    row;

/** Attributes of a kernel that has none. */
export type NoAttrs = Record<never, never>;

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
function combineComplaint(sizes: Sizes, attrs: CombineAttrs, shapes: Shapes): string | undefined {
  const {mix, activation, heads, sparse} = attrs;
  checkActivation(activation);
  const has = (name: string): boolean => shapes[name] !== undefined;
  if (has('z') === has('x')) return 'it needs either x and kernel, or z';
  if (has('z') && ['kernel', 'bias', 'pre', 'preGates'].some(has)) return 'kernel, bias and pre go with x';
  if (has('h') !== has('b')) return 'h and b go together';
  if (!has('h') && ['gates', 'beta', 'betaGates'].some(has)) return 'gates and beta go with h and b';
  for (const name of SCALES) {
    if (has(`${name}Gates`) !== has(`${name}Table`)) return `${name}Gates and ${name}Table go together`;
    if (has(name) && has(`${name}Gates`)) return `it has two scales called ${name}`;
    const count = heads?.[name] ?? 1;
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

function checkActivation(activation: unknown): undefined {
  if (!(ACTIVATIONS as readonly unknown[]).includes(activation))
    throw new ConfigError(`activation is '${activation}', but must be one of ${ACTIVATIONS.join(', ')}.`);
}

const ranks = ({experts, all}: Sizes): string | undefined =>
  divides(experts!, all!) ? undefined : `${all} columns hold no ${experts} experts side by side`;

const topKComplaint = ({w}: Sizes, {k}: TopKAttrs): string | undefined =>
  Number.isInteger(k) && k >= 1 && k <= w! ? undefined : `k is ${k}, but there are ${w} entries a row`;

/** The inputs of one scale: a vector, or gates and their table. */
function scaleAxes<Name extends string, Width extends string>(name: Name, width: Width) {
  return {
    [`${name}?`]: width,
    [`${name}Gates?`]: `n ${name}Gates`,
    [`${name}Table?`]: `${name}Experts ${width}`,
  } as {[Input in `${Name}?` | `${Name}Gates?` | `${Name}Table?`]: string};
}

const EXPERTS = ['cpu', 'wasm'] as const;

/** The parts of a packed matrix, whose sizes {@link packedComplaint} compares with the layout. */
const PACKED_AXES = {
  codes: 'words w',
  'scale?': 'scaleRows scaleColumns',
  'zeros?': 'zeroRows zeroColumns',
  'offset?': 'offsetRows offsetColumns',
  'codebook?': 'entries',
} as const;

const packedDtypes = ({values, halfScale, halfOffset}: PackedAttrs): Record<string, DataType> => ({
  ...{codes: values === 'f32' ? 'float32' : 'int32', zeros: 'int32', indices: 'int32'},
  ...(halfScale && {scale: 'int32'}),
  ...(halfOffset && {offset: 'int32'}),
});

/** What of a packed matrix does not fit its layout, by which a kernel reads it. */
function packedComplaint(attrs: PackedAttrs, shapes: Shapes): string | undefined {
  checkGrid('packed matrix', attrs, (part) => shapes[part] !== undefined);
  const wanted = partShapes('packed matrix', attrs, {scale: attrs.halfScale, offset: attrs.halfOffset});
  for (const part of PACKED_PARTS) {
    const shape = shapes[part];
    if (shape === undefined || shape.every((size, axis) => size === wanted[part][axis])) continue;
    return `${part} has shape [${shape}], but must be [${wanted[part]}]`;
  }
  return undefined;
}

/** The kernels. */
export const KERNELS = {
  PeftMatMul: kernel<MatMulAttrs>()({
    axes: ({transposeA, transposeB}, {a, b}) => ({
      a: `${a?.length === 3 ? 'batchA ' : ''}${transposeA ? 'k m' : 'm k'}`,
      b: `${b?.length === 3 ? 'batchB ' : ''}${transposeB ? 'n k' : 'k n'}`,
    }),
    output: 'one',
    also: ({batchA = 1, batchB = 1}) =>
      batchA === batchB || batchA === 1 || batchB === 1
        ? undefined
        : `the batches of ${batchA} and ${batchB} must be equal, or one of them 1`,
  }),
  PeftProject: kernel<ProjectAttrs>()({
    axes: {x: 'n d', a: 'd r', 'kernel?': 'd w'},
    output: 'list',
    also: ({w}, {columns}) => {
      if (w === undefined || (Number.isInteger(columns) && columns >= 0 && columns <= w)) return undefined;
      throw new ConfigError(`columns is ${columns}, but must be a whole number from 0 to ${w}.`);
    },
  }),
  PeftCombine: kernel<CombineAttrs>()({
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
    output: 'list',
    also: combineComplaint,
  }),
  PeftMix: kernel<{mix: Mix}>()({
    axes: {h: 'n r1', gates: 'n g'},
    output: 'one',
    also: (sizes, {mix}) => mixComplaint(mix, sizes),
  }),
  PeftMixGrad: kernel<{mix: 'expert' | 'dense'}>()({
    axes: {dhm: 'n r2', h: 'n r1', gates: 'n g'},
    output: 'list',
    also: (sizes, {mix}) => mixComplaint(mix, sizes),
  }),
  PeftExpertDown: kernel<DownAttrs>()({
    axes: ({transposeW}) => ({x: 'n d', w: transposeW ? 'all d' : 'd all', gates: 'n experts'}),
    output: 'one',
    also: ranks,
    only: EXPERTS,
  }),
  PeftExpertUp: kernel<UpAttrs>()({
    axes: ({transposeW}) => ({p: 'n all', w: transposeW ? 'd all' : 'all d', gates: 'n experts'}),
    output: 'one',
    also: ranks,
    only: EXPERTS,
  }),
  PeftExpertOuter: kernel<OuterAttrs>()({
    axes: {p: 'n all', q: 'n d', gates: 'n experts'},
    output: 'one',
    also: ranks,
    only: EXPERTS,
  }),
  PeftActivationGrad: kernel<{activation: Activation}>()({
    axes: {dy: 'n w', ref: 'n w'},
    output: 'one',
    also: (_sizes, {activation}) => checkActivation(activation),
  }),
  PeftColumnSum: kernel<NoAttrs>()({
    axes: {a: 'n w', 'b?': 'n w'},
    output: 'one',
    only: ['wasm', 'webgl', 'webgpu'],
  }),
  PeftLayerNorm: kernel<LayerNormAttrs>()({axes: {x: 'n w', 'gamma?': 'w', 'beta?': 'w'}, output: 'one'}),
  PeftLayerNormGrad: kernel<LayerNormAttrs>()({axes: {dy: 'n w', x: 'n w', 'gamma?': 'w'}, output: 'one'}),
  PeftGates: kernel<GatesAttrs>()({axes: {x: 'n d', kernel: 'd w'}, output: 'one'}),
  PeftSoftmaxGrad: kernel<SoftmaxGradAttrs>()({axes: {dy: 'n w', y: 'n w'}, output: 'one'}),
  PeftStreamGates: kernel<StreamGatesAttrs>()({axes: {a: 'n w', b: 'n w'}, output: 'list'}),
  PeftStreamGatesGrad: kernel<StreamGatesAttrs>()({
    axes: {'dGates?': 'n w', 'gates?': 'n w', dp: 'n w', a: 'n w', b: 'n w', p: 'n w'},
    output: 'list',
    also: (_sizes, _attrs, {dGates, gates}) =>
      (dGates === undefined) === (gates === undefined) ? undefined : 'dGates and gates go together',
  }),
  PeftTopK: kernel<TopKAttrs>()({axes: {p: 'n w'}, output: 'one', also: topKComplaint}),
  PeftTopKGrad: kernel<TopKAttrs>()({axes: {dy: 'n w', p: 'n w'}, output: 'one', also: topKComplaint}),
  PeftBlend: kernel<BlendAttrs>()({
    axes: {'token?': 'n w', 'sample?': 's w', share: '1', gate: '1'},
    output: 'one',
    also: ({n, s}, {rows}) => {
      if (n === undefined && s === undefined) return 'it needs token, sample or both';
      if (n !== undefined && n !== rows) return `token has ${n} rows, but rows is ${rows}`;
      if (s === undefined || rows === 0 || divides(s, rows)) return undefined;
      return `sample has ${s} rows, which must divide the ${rows} of the output`;
    },
  }),
  PeftBlendGrad: kernel<BlendGradAttrs>()({
    axes: {'token?': 'w', 'sample?': 'w', share: '1', gate: '1'},
    output: 'list',
    also: ({w}) => (w === undefined ? 'it needs token, sample or both' : undefined),
  }),
  PeftPackedMatMul: kernel<PackedMatMulAttrs>()({
    axes: {x: 'n k', ...PACKED_AXES, 'bias?': 'm'},
    dtypes: packedDtypes,
    output: 'one',
    also: ({k, m}, attrs, shapes) => {
      const complaint = packedComplaint(attrs, shapes);
      if (complaint !== undefined) return complaint;
      const [from, to] = attrs.transposeW ? [attrs.shape[1], attrs.shape[0]] : attrs.shape;
      if (k !== from) return `x has ${k} columns, but the matrix needs ${from}`;
      return m === undefined || m === to ? undefined : `bias has ${m} numbers, but the output ${to} columns`;
    },
  }),
  PeftUnpackRows: kernel<PackedAttrs>()({
    axes: {...PACKED_AXES, 'indices?': 'n'},
    dtypes: packedDtypes,
    output: 'one',
    also: (_sizes, attrs, shapes) => packedComplaint(attrs, shapes),
  }),
  PeftAdam: kernel<AdamAttrs>()({axes: {value: '*', m: '*', v: '*', gradient: '*'}, output: 'list'}),
};

/** The rows of all kernels, by name. */
export type Rows = typeof KERNELS;

/** The name of a kernel. */
export type KernelName = keyof Rows;

/** The attributes of a kernel. */
export type KernelAttrs<Name extends KernelName> =
  Rows[Name] extends Row<infer _, infer Attrs, 'one' | 'list'> ? Attrs : never;

/** The axes of a kernel's inputs; see {@link Axes}. */
export type AxesOf<Name extends KernelName> =
  Rows[Name] extends Row<infer Inputs, infer _, 'one' | 'list'> ? Inputs : never;

/** The inputs of a kernel by name, as `T`; those that a call may leave out are optional. */
export type KernelInputs<Name extends KernelName, T = TensorInfo> = {
  [Input in keyof AxesOf<Name> as Input extends `${string}?` ? never : Input]: T;
} & {
  [Input in keyof AxesOf<Name> as Input extends `${infer Own}?` ? Own : never]?: T | undefined;
};

/** The outputs of a kernel: a tensor, or a list. */
export type KernelOutput<Name extends KernelName, T = TensorInfo> = Rows[Name]['output'] extends 'list'
  ? T[]
  : T;

/** A kernel of ours on one backend. */
export type PeftKernel<Name extends KernelName, Input = TensorInfo, Output = TensorInfo> = (call: {
  inputs: KernelInputs<Name, Input>;
  attrs: KernelAttrs<Name>;
  backend: KernelBackend;
}) => KernelOutput<Name, Output>;

/** A kernel of ours as ops of tfjs, for any backend: it works on tensors. */
export type ComposedKernel<Name extends KernelName> = PeftKernel<Name, Tensor2D, Tensor>;

/** Kernels of one backend, by name. */
export type PeftKernels<Input = TensorInfo, Output = TensorInfo> = {
  readonly [Name in KernelName]?: PeftKernel<Name, Input, Output>;
};

export const KERNEL_NAMES = Object.keys(KERNELS) as KernelName[];

const WITH_OPTIONAL: ReadonlySet<KernelName> = new Set(
  KERNEL_NAMES.filter((name) => {
    const {axes} = KERNELS[name];
    return typeof axes !== 'function' && Object.keys(axes).some((input) => input.endsWith('?'));
  }),
);

/** Whether a kernel has inputs that a call may leave out. */
export function hasOptionalInputs(name: KernelName): boolean {
  return WITH_OPTIONAL.has(name);
}
