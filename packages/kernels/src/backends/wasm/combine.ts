import {type KernelBackend, type TensorInfo, util} from '@tensorflow/tfjs-core';
import type {CombineAttrs} from '../../kernel-attrs.js';
import type {KernelInputs, PeftKernel} from '../../kernel-map.js';
import {ACTIVATIONS, type Activation, type ScaleName} from '../../types.js';
import {attach, type WasmKernels} from './attach.js';
import {ExpertProducts} from './experts.js';
import {mixInto} from './mix.js';
import {leavesToThreads, threadedProduct} from './threads.js';

type Inputs = KernelInputs<'PeftCombine'>;

/** The words of the Combine struct in assembly/combine.ts, in its order. */
const COMBINE_WORDS = [
  'rows',
  'dIn',
  'dOut',
  'activation',
  'x',
  'kernel',
  'bias',
  'z',
  'h',
  'rank',
  'b',
  'delta',
  'offset',
  'alpha',
  'alphaGates',
  'alphaTable',
  'alphaExperts',
  'alphaHeads',
  'beta',
  'betaGates',
  'betaTable',
  'betaExperts',
  'betaHeads',
  'post',
  'postGates',
  'postTable',
  'postExperts',
  'postHeads',
  'y',
  'savedZ',
  'savedU',
] as const;
/** Inputs that the module reads as they are. */
const READ = ['x', 'kernel', 'bias', 'z', 'h', 'b', 'offset'] as const;
type Words = Partial<Record<(typeof COMBINE_WORDS)[number], number>>;

/** Room for the struct: the words above and those that the module sets itself. */
const STRUCT_BYTES = 256;
const FLOAT = 4;

/** A cursor through one block of scratch memory. */
interface Scratch {
  next: number;
}

function take(scratch: Scratch, bytes: number): number {
  const at = scratch.next;
  scratch.next += Math.ceil(bytes / 64) * 64;
  return at;
}

function scaleWords(
  wasm: WasmKernels,
  inputs: Inputs,
  from: ScaleName,
  to: 'alpha' | 'beta' | 'post',
  heads: CombineAttrs['heads'],
): Words {
  const gates = inputs[`${from}Gates`];
  const words: Record<string, number> = {};
  if (gates !== undefined) {
    words[`${to}Gates`] = wasm.pointerTo(gates);
    const table = inputs[`${from}Table`]!;
    words[`${to}Table`] = wasm.pointerTo(table);
    words[`${to}Experts`] = table.shape[0]!;
    words[`${to}Heads`] = heads?.[from] ?? 1;
  } else if (inputs[from] !== undefined) {
    words[to] = wasm.pointerTo(inputs[from]);
  }
  return words as Words;
}

function depthOf({rank = 0, alphaExperts = 0, betaExperts = 0, postExperts = 0}: Words): number {
  return rank + alphaExperts + betaExperts + postExperts;
}

function run(wasm: WasmKernels, words: Words, scale: number, struct: number, scratch: number): void {
  wasm.write(
    struct,
    COMBINE_WORDS.map((name) => words[name] ?? 0),
  );
  wasm.exports.combine(struct, scale, scratch);
}

function activationCode(activation: Activation): number {
  return ACTIVATIONS.indexOf(activation);
}

/** dy ∘ act', from the activation's output or input: see `gradientFrom`. */
export const PeftActivationGrad: PeftKernel<'PeftActivationGrad'> = ({inputs: {dy, ref}, attrs, backend}) => {
  const wasm = attach(backend);
  const out = wasm.output(dy.shape);
  const [pDy, pRef, pOut] = [dy, ref, out].map((t) => wasm.pointerTo(t)) as [number, number, number];
  wasm.exports.activationGradient(
    pDy,
    pRef,
    pOut,
    util.sizeFromShape(dy.shape),
    activationCode(attrs.activation),
  );
  return out;
};

/**
 * Replaces z [rows, dOut] by y = act(z + bias), both given by pointers: the epilogue of a product that is
 * already computed.
 */
export function biasActivation(
  wasm: WasmKernels,
  {
    z,
    bias,
    rows,
    dOut,
    activation,
  }: {z: number; bias: number; rows: number; dOut: number; activation: Activation},
): void {
  const struct = wasm.scratch(STRUCT_BYTES + wasm.exports.combineScratch(0, dOut, 0));
  const words = {rows, dOut, z, y: z, offset: bias, activation: activationCode(activation)};
  run(wasm, words, 1, struct, struct + STRUCT_BYTES);
}

/** The combine kernel: see `combine` in ops/combine.ts; inputs flat and checked. */
export const PeftCombine: PeftKernel<'PeftCombine'> = ({inputs, attrs, backend}) =>
  combineInfos(backend, inputs, attrs);

/** x W + bias by XNNPACK, if it has several threads and the product is large enough. */
function threadedBase(wasm: WasmKernels, {x, kernel, bias, pre, preGates}: Inputs): TensorInfo | undefined {
  if (x === undefined || kernel === undefined || pre !== undefined || preGates !== undefined)
    return undefined;
  const [rows, dIn] = x.shape as [number, number];
  const dOut = kernel.shape[1]!;
  if (!leavesToThreads(wasm, rows, dOut, dIn)) return undefined;
  return {...threadedProduct(wasm, {a: x, b: kernel, bias}, [rows, dOut, dIn]), shape: [rows, dOut]};
}

export function combineInfos(
  backend: KernelBackend,
  inputs: Inputs,
  {scale, mix, activation, saveZ, saveU, sparse, heads}: CombineAttrs,
): TensorInfo[] {
  const wasm = attach(backend);
  const threaded = threadedBase(wasm, inputs);
  if (threaded !== undefined) {
    // The base product, bias included, is already computed; only the rest of the work is left.
    const {x: _x, kernel: _kernel, bias: _bias, ...others} = inputs;
    const attrs = {scale, mix, activation, saveZ, saveU, ...(sparse && {sparse}), ...(heads && {heads})};
    const outputs = combineInfos(backend, {...others, z: threaded}, attrs);
    backend.disposeData(threaded.dataId);
    return outputs;
  }
  const {x, kernel, z, h, b, gates} = inputs;
  const base = (z ?? x)!;
  const rows = base.shape[0]!;
  const dIn = x === undefined ? 0 : x.shape[1]!;
  const dOut = (z ?? kernel)!.shape[1]!;
  const pre = inputs.pre !== undefined || inputs.preGates !== undefined;
  const experts =
    sparse && h !== undefined
      ? new ExpertProducts(wasm, gates!, {
          experts: gates!.shape[1]!,
          rank: h.shape[1]! / gates!.shape[1]!,
          width: dOut,
        })
      : undefined;
  const mixed = mix !== 'none' && h !== undefined && experts === undefined;
  const words: Words = {
    rows,
    dIn,
    dOut,
    activation: activationCode(activation),
    rank: b === undefined || experts !== undefined ? 0 : b.shape[0]!,
    ...scaleWords(wasm, inputs, 'alpha', 'alpha', heads),
    ...scaleWords(wasm, inputs, 'beta', 'beta', heads),
    ...scaleWords(wasm, inputs, 'post', 'post', heads),
  };
  const read = experts === undefined ? READ : READ.filter((name) => name !== 'h' && name !== 'b');
  for (const name of read) if (inputs[name] !== undefined) words[name] = wasm.pointerTo(inputs[name]);
  // pre ∘ x is this same kernel with z = x and post = pre, into scratch.
  const preWords: Words = pre
    ? {rows, dOut: dIn, z: words.x!, ...scaleWords(wasm, inputs, 'pre', 'post', heads)}
    : {};
  const {combineScratch} = wasm.exports;
  const bytes = [
    STRUCT_BYTES,
    pre ? rows * dIn * FLOAT : 0,
    mixed ? rows * words.rank! * FLOAT : 0,
    experts !== undefined ? rows * dOut * FLOAT : 0,
    experts?.scratchBytes ?? 0,
    Math.max(combineScratch(dIn, dOut, depthOf(words)), pre ? combineScratch(0, dIn, depthOf(preWords)) : 0),
  ] as const;
  const cursor: Scratch = {next: wasm.scratch(bytes.reduce((sum, size) => sum + size + 64, 0))};
  const [struct, scaledX, mixedH, delta, grouped, rest] = bytes.map((size) => take(cursor, size)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];

  const y = wasm.output([rows, dOut]);
  const outputs = [y];
  words.y = wasm.pointerTo(y);
  if (saveZ && z !== undefined) {
    backend.incRef(z.dataId);
    outputs.push({...z});
  } else if (saveZ) {
    const savedZ = wasm.output([rows, dOut]);
    words.savedZ = wasm.pointerTo(savedZ);
    outputs.push(savedZ);
  }
  if (saveU) {
    const savedU = wasm.output([rows, dOut]);
    words.savedU = wasm.pointerTo(savedU);
    outputs.push(savedU);
  }
  if (pre) {
    run(wasm, {...preWords, y: scaledX}, 1, struct, rest);
    words.x = scaledX;
  }
  if (mixed) {
    mixInto(wasm, h, gates!, mix, mixedH);
    words.h = mixedH;
  }
  if (experts !== undefined) {
    wasm.zero(delta, rows * dOut * FLOAT);
    const [from, by] = [wasm.pointerTo(h!), wasm.pointerTo(b!)];
    experts.up(from, by, delta, {scale, weigh: true, transposeW: false}, grouped);
    words.delta = delta;
  }
  run(wasm, words, scale, struct, rest);
  return outputs;
}
