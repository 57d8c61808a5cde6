import * as tf from '@tensorflow/tfjs-core';
import {PeftError} from '../errors.js';
import type {KernelAttrs, KernelInputs, KernelName} from '../kernel-map.js';
import type {CallAttrs} from '../kernel-registry.js';

/**
 * A call of a kernel that fits, and of its axes those that stand alone, such as `a.0`: they may have any
 * size.
 */
interface CaseOf<Name extends KernelName> {
  inputs: KernelInputs<Name, number[]>;
  attrs: KernelAttrs<Name> & CallAttrs;
  free?: string[];
  /** The inputs that are int32. */
  integers?: string[];
}

const combine = {scale: 0.5, mix: 'none', activation: 'relu', saveZ: true, saveU: true, saveY: true} as const;

/** 11 rows of 4 bits in groups of 3: 2 words, 4 units; 4 words of halves. */
const packed: KernelAttrs<'PeftUnpackRows'> = {
  shape: [11, 5],
  bits: 4,
  // As many as every backend keeps.
  wordBits: 24,
  values: 'integer',
  group: 3,
  unitColumns: 5,
  halfScale: false,
  halfOffset: false,
};

/** Calls of every kernel of the map. */
const CASES: {[Name in KernelName]: CaseOf<Name>[]} = {
  PeftMatMul: [
    {
      inputs: {a: [3, 4], b: [4, 5]},
      attrs: {transposeA: false, transposeB: false, scale: 1},
      free: ['a.0', 'b.1', 'a.rank', 'b.rank'],
    },
    {
      inputs: {a: [3, 4, 2], b: [3, 5, 4]},
      attrs: {transposeA: true, transposeB: true, scale: 2},
      free: ['a.2', 'b.1', 'a.rank', 'b.rank'],
    },
  ],
  PeftProject: [
    {
      inputs: {x: [3, 4], a: [4, 2], kernel: [4, 6]},
      attrs: {columns: 6},
      free: ['x.0', 'a.1', 'kernel.1+'],
    },
  ],
  PeftCombine: [
    {
      inputs: {
        x: [3, 4],
        kernel: [4, 6],
        bias: [6],
        h: [3, 10],
        b: [10, 6],
        gates: [3, 5],
        offset: [6],
        pre: [4],
        alpha: [6],
        betaGates: [3, 4],
        betaTable: [2, 6],
        post: [6],
      },
      attrs: {...combine, mix: 'expert', heads: {beta: 2}},
    },
    {
      inputs: {z: [3, 6], h: [3, 2], b: [5, 6], gates: [3, 10], alphaGates: [3, 2], alphaTable: [2, 6]},
      attrs: {...combine, mix: 'dense'},
    },
    {
      inputs: {z: [3, 6], h: [3, 2], b: [2, 6], postGates: [3, 2], postTable: [2, 6]},
      attrs: combine,
    },
  ],
  PeftMix: [
    {inputs: {h: [3, 10], gates: [3, 5]}, attrs: {mix: 'expert'}, free: ['h.1=0']},
    {inputs: {h: [3, 5], gates: [3, 15]}, attrs: {mix: 'dense'}, free: ['gates.1=0']},
  ],
  PeftMixGrad: [
    {inputs: {dhm: [3, 10], h: [3, 10], gates: [3, 5]}, attrs: {mix: 'expert'}},
    {inputs: {dhm: [3, 5], h: [3, 2], gates: [3, 10]}, attrs: {mix: 'dense'}},
  ],
  PeftExpertDown: [
    ...[false, true].map((transposeW) => ({
      inputs: {x: [3, 4], w: transposeW ? [10, 4] : [4, 10], gates: [3, 5]},
      attrs: {scale: 1, transposeW},
      free: [transposeW ? 'w.0=0' : 'w.1=0'],
    })),
  ],
  PeftExpertUp: [
    ...[false, true].map((transposeW) => ({
      inputs: {p: [3, 10], w: transposeW ? [4, 10] : [10, 4], gates: [3, 5]},
      attrs: {scale: 1, weigh: true, transposeW},
      free: [transposeW ? 'w.0' : 'w.1'],
    })),
  ],
  PeftExpertOuter: [
    {
      inputs: {p: [3, 10], q: [3, 4], gates: [3, 5]},
      attrs: {scale: 1, weigh: true, transposed: false},
      free: ['q.1', 'p.1=0'],
    },
  ],
  PeftActivationGrad: [{inputs: {dy: [3, 5], ref: [3, 5]}, attrs: {activation: 'elu'}}],
  PeftColumnSum: [{inputs: {a: [3, 5], b: [3, 5]}, attrs: {}}],
  PeftBlend: [
    {
      inputs: {token: [10, 4], sample: [5, 4], share: [1], gate: [1]},
      attrs: {rows: 10, slope: 1, tokenFactor: 1, sampleFactor: 1},
    },
  ],
  PeftBlendGrad: [
    {
      inputs: {token: [4], sample: [4], share: [1], gate: [1]},
      attrs: {slope: 1, tokenFactor: 1, sampleFactor: 1},
    },
  ],
  PeftPackedMatMul: [
    {
      inputs: {x: [3, 11], codes: [2, 5], scale: [4, 5], offset: [4, 5], bias: [5]},
      attrs: {...packed, halfScale: true, transposeW: false},
      free: ['x.0'],
      integers: ['codes', 'scale'],
    },
    {
      inputs: {x: [3, 5], codes: [2, 5], scale: [4, 5], zeros: [1, 5], bias: [11]},
      attrs: {...packed, transposeW: true},
      free: ['x.0'],
      integers: ['codes', 'zeros'],
    },
    {
      inputs: {x: [3, 11], codes: [2, 5], scale: [4, 5], codebook: [16]},
      attrs: {...packed, values: 'codebook', transposeW: false},
      free: ['x.0'],
      integers: ['codes'],
    },
  ],
  PeftUnpackRows: [
    {
      inputs: {codes: [2, 5], scale: [4, 5], offset: [4, 5], indices: [3]},
      attrs: {...packed, halfOffset: true},
      free: ['indices.0'],
      integers: ['codes', 'offset', 'indices'],
    },
  ],
  PeftAdam: [
    {
      inputs: {value: [3, 5], m: [3, 5], v: [3, 5], gradient: [3, 5]},
      attrs: {learningRate: 1, beta1: 0.9, beta2: 0.9, epsilon: 1e-7, correction1: 0.1, correction2: 0.1},
    },
  ],
  PeftLayerNorm: [
    {
      inputs: {x: [3, 5], gamma: [5], beta: [5]},
      attrs: {epsilon: 1e-3},
      free: ['x.0'],
    },
  ],
  PeftLayerNormGrad: [{inputs: {dy: [3, 5], x: [3, 5], gamma: [5]}, attrs: {epsilon: 1e-3}}],
  PeftGates: [
    {
      inputs: {x: [3, 4], kernel: [4, 2]},
      attrs: {temperature: 1},
      free: ['x.0', 'kernel.1'],
    },
  ],
  PeftTopK: [{inputs: {p: [3, 4]}, attrs: {k: 2, renormalize: true}, free: ['p.0', 'p.1+', 'p.1-']}],
  PeftTopKGrad: [{inputs: {dy: [3, 4], p: [3, 4]}, attrs: {k: 2, renormalize: true}}],
  PeftSoftmaxGrad: [{inputs: {dy: [3, 4], y: [3, 4]}, attrs: {scale: 1}}],
  PeftStreamGates: [
    {
      inputs: {a: [3, 4], b: [3, 4]},
      attrs: {weightA: 0.5, weightB: 0.5, theta: 0.5, floor: 1e-6},
    },
  ],
  PeftStreamGatesGrad: [
    {
      inputs: {dp: [3, 4], dGates: [3, 4], a: [3, 4], b: [3, 4], p: [3, 4], gates: [3, 4]},
      attrs: {weightA: 0.5, weightB: 0.5, theta: 0.5, floor: 1e-6},
    },
  ],
};

export interface KernelCase {
  kernel: string;
  inputs: Record<string, number[]>;
  attrs: object;
  free?: string[];
  integers?: string[];
}

export const KERNEL_CASES: KernelCase[] = Object.entries(CASES).flatMap(([kernel, cases]) =>
  cases.map(({inputs, ...rest}) => ({kernel, inputs: {...inputs}, ...rest})),
);

/** Every other shape that an input can come with, by what is changed. */
function otherShapes(name: string, shape: number[]): [change: string, shape: number[]][] {
  const sized = (at: number, size: number): number[] => shape.map((own, axis) => (axis === at ? size : own));
  const axes = shape.flatMap((size, axis): [string, number[]][] => [
    [`${name}.${axis}+`, sized(axis, size + 1)],
    [`${name}.${axis}-`, sized(axis, size - 1)],
    [`${name}.${axis}++`, sized(axis, 1000 * size + 1)],
    [`${name}.${axis}=0`, sized(axis, 0)],
  ]);
  return [...axes, [`${name}.rank+`, [...shape, 2]], [`${name}.rank-`, shape.slice(1)]];
}

const dtypeOf = ({integers}: KernelCase, name: string): 'int32' | 'float32' =>
  integers?.includes(name) ? 'int32' : 'float32';

function run(c: KernelCase, changed: string, shape: number[], dtype: tf.DataType): void {
  const {kernel, inputs, attrs} = c;
  tf.tidy(() => {
    const tensors = Object.entries(inputs).map(([name, own]) =>
      name === changed ? tf.ones(shape, dtype) : tf.ones(own, dtypeOf(c, name)),
    );
    const packed = {...attrs, names: Object.keys(inputs)} as unknown as tf.NamedAttrMap;
    tf.engine().runKernel(kernel, tensors as unknown as tf.NamedTensorMap, packed);
  });
}

/** The cases of the kernels that the active backend has. */
export function eachCase(): KernelCase[] {
  return KERNEL_CASES.filter(({kernel}) => tf.getKernel(kernel, tf.getBackend()) != null);
}

/**
 * Calls every kernel that the active backend has with each of its inputs of every other shape and dtype in
 * turn.
 *
 * @returns the calls that should have been refused and were not, those that should not have been and were,
 * and how many there were.
 */
export function misfits(): {wrong: string[]; calls: number} {
  const wrong: string[] = [];
  let calls = 0;
  for (const c of eachCase()) {
    run(c, '', [], 'float32');
    for (const [name, own] of Object.entries(c.inputs)) {
      const dtype = dtypeOf(c, name);
      const other = dtype === 'int32' ? 'float32' : 'int32';
      const changes: [string, number[], tf.DataType][] = otherShapes(name, own).map(([what, shape]) => [
        what,
        shape,
        dtype,
      ]);
      for (const [what, shape, dtype] of [...changes, [`${name}.${other}`, own, other] as const]) {
        calls++;
        const refused = refusal(() => run(c, name, [...shape], dtype));
        if (c.free?.some((axis) => what.startsWith(axis))) continue;
        if (!(refused instanceof PeftError)) wrong.push(`${c.kernel}: ${what} [${shape}]: ${refused}`);
      }
    }
  }
  return {wrong, calls};
}

function refusal(call: () => void): unknown {
  try {
    call();
    return 'taken';
  } catch (error) {
    return error;
  }
}
