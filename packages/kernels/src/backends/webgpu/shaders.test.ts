import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {AdamAttrs, CombineAttrs, PackedAttrs} from '../../kernel-attrs.js';
import type {Named} from '../combine-stages.js';
import {ADAM_PARTS, adamUniforms} from '../gpu-kernels.js';
import {adamProgram as webglAdam} from '../webgl/adam.js';
import * as webglBlend from '../webgl/blend.js';
import {columnSumProgram as webglColumnSum} from '../webgl/column-sum.js';
import {combineProgram as webglCombine} from '../webgl/combine.js';
import * as webglGates from '../webgl/gates.js';
import * as webglNorm from '../webgl/layer-norm.js';
import {matMulProgram as webglMatMul} from '../webgl/matmul.js';
import {packedMatMulProgram as webglPacked} from '../webgl/packed-matmul.js';
import type {Program as WebglProgram} from '../webgl/program.js';
import {topKProgram as webglTopK} from '../webgl/top-k.js';
import {unpackRowsProgram as webglRows} from '../webgl/unpack-rows.js';
import {adamProgram as webgpuAdam} from './adam.js';
import * as webgpuBlend from './blend.js';
import {columnSumProgram as webgpuColumnSum} from './column-sum.js';
import {combineProgram as webgpuCombine} from './combine.js';
import * as webgpuGates from './gates.js';
import * as webgpuNorm from './layer-norm.js';
import {matMulProgram as webgpuMatMul} from './matmul.js';
import {packedMatMulProgram as webgpuPacked} from './packed-matmul.js';
import type {Program} from './program.js';
import {topKProgram as webgpuTopK} from './top-k.js';
import {unpackRowsProgram as webgpuRows} from './unpack-rows.js';

/** The text without blank lines and indentation: those come from templates and mean nothing to a compiler. */
const statements = (text: string) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n');

const info = (...shape: number[]): TensorInfo => ({dataId: {}, shape, dtype: 'float32'});
const attrs = (more: Partial<CombineAttrs>): CombineAttrs => ({
  scale: 4,
  mix: 'none',
  activation: 'linear',
  saveZ: false,
  saveU: false,
  ...more,
});

const site = {x: info(5, 17), kernel: info(17, 3), bias: info(1, 3)};
/** The parts that MoLoRA, MoV and LiME fill in. */
const cases: [string, Named, CombineAttrs][] = [
  ['molora', {...site, h: info(5, 8), b: info(8, 3), gates: info(5, 4)}, attrs({mix: 'expert'})],
  ['mov', {...site, postGates: info(5, 4), postTable: info(4, 3)}, attrs({activation: 'gelu'})],
  ['mov by head', {...site, postGates: info(5, 12), postTable: info(4, 3)}, attrs({heads: {post: 3}})],
  ['lime', {...site, h: info(5, 2), b: info(2, 3), betaGates: info(5, 4), betaTable: info(4, 3)}, attrs({})],
];

const blended = {token: info(6, 3), sample: info(2, 3), share: info(1, 1), gate: info(1, 1)};

const int4: PackedAttrs = {
  ...{shape: [17, 3], bits: 4, wordBits: 24, values: 'integer', group: 8, unitColumns: 3},
  ...{halfScale: false, halfOffset: false},
};
/** Zero points; halves with a bias; a codebook for all units; bfloat16. */
const matrices: [string, Record<string, TensorInfo>, PackedAttrs][] = [
  ['integers', {codes: info(3, 3), scale: info(3, 3), zeros: info(1, 3)}, int4],
  [
    'halves',
    {codes: info(3, 3), scale: info(3, 3), offset: info(3, 3), bias: info(3)},
    {...int4, halfScale: true, halfOffset: true},
  ],
  [
    'a codebook',
    {codes: info(3, 3), scale: info(3, 1), codebook: info(16)},
    {...int4, values: 'codebook', unitColumns: 1},
  ],
  ['bfloat16', {codes: info(17, 3)}, {...int4, bits: 16, values: 'bf16'}],
];

/** A change of a shader's text shows here, so that it is meant and looked at. */
describe('shader texts', () => {
  test.each(cases)('%s in WGSL', (_, inputs, a) => {
    expect(statements(webgpuCombine(inputs, a, 'y').program.getUserCode())).toMatchSnapshot();
  });

  test.each(cases)('%s in GLSL', (_, {gates, ...inputs}, a) => {
    expect(statements(webglCombine(inputs, a, 'y').userCode)).toMatchSnapshot();
  });

  test.each([
    [false, false],
    [true, false],
    [false, true],
  ])('matMul in WGSL and GLSL, transposed %p %p', (transposeA, transposeB) => {
    const product = {transposeA, transposeB};
    expect(statements(webgpuMatMul([1, 5, 3], product, [5, 3]).getUserCode())).toMatchSnapshot();
    const shape = {batch: 1, m: 5, n: 3, k: 17};
    expect(statements(webglMatMul(shape, {a: true, b: true}, product).userCode)).toMatchSnapshot();
  });

  test.each(matrices)('products with packed matrices of %s in WGSL and GLSL', (_, parts, own) => {
    for (const transposeW of [false, true]) {
      const a = {...own, transposeW};
      const inputs = {x: transposeW ? info(5, 3) : info(5, 17), ...parts};
      const shape: [number, number] = [5, transposeW ? 17 : 3];
      expect(statements(webgpuPacked(inputs, a, shape).getUserCode())).toMatchSnapshot();
      expect(statements(webglPacked(inputs, a, shape).userCode)).toMatchSnapshot();
    }
  });

  test('rows of a packed matrix in WGSL and GLSL', () => {
    const inputs = {codes: info(3, 3), indices: info(5)};
    expect(statements(webgpuRows(inputs, int4, [5, 3]).getUserCode())).toMatchSnapshot();
    expect(statements(webglRows(inputs, int4, [5, 3]).userCode)).toMatchSnapshot();
  });

  test('column sums of a product in WGSL and GLSL', () => {
    expect(statements(webgpuColumnSum(3, true).getUserCode())).toMatchSnapshot();
    expect(statements(webglColumnSum(5, 3, true).userCode)).toMatchSnapshot();
  });

  test.each(ADAM_PARTS)('Adam, %s, in WGSL and GLSL', (part) => {
    const uniforms = Object.keys(adamUniforms(part, {} as AdamAttrs));
    expect(statements(webgpuAdam(part, [5, 3], uniforms).getUserCode())).toMatchSnapshot();
    expect(statements(webglAdam(part, [5, 3], uniforms).userCode)).toMatchSnapshot();
  });

  test.each<[string, Program, WebglProgram]>([
    ['softmax', webgpuGates.softmaxProgram([5, 3]), webglGates.softmaxProgram([5, 3])],
    ['its gradient', webgpuGates.softmaxGradientProgram([5, 3]), webglGates.softmaxGradientProgram([5, 3])],
    ['streams', webgpuGates.streamsProgram([5, 3]), webglGates.streamsProgram([5, 3])],
    ['top-k gates', webgpuTopK([5, 3], false, false), webglTopK([5, 3], {k: 2, renormalize: false}, false)],
    [
      "renormalised top-k gates' gradient",
      webgpuTopK([5, 3], true, true),
      webglTopK([5, 3], {k: 2, renormalize: true}, true),
    ],
    ['the selection', webgpuGates.keepProgram([5, 3]), webglGates.keepProgram([5, 3])],
    [
      "a stream's gradient",
      webgpuGates.streamGradientProgram([5, 3], true),
      webglGates.streamGradientProgram([5, 3], true),
    ],
    ['blended gates', webgpuBlend.blendProgram(blended, [6, 3]), webglBlend.blendProgram(blended, [6, 3], 3)],
    [
      "a blend's scalar",
      webgpuBlend.blendGradientProgram(blended, 'share'),
      webglBlend.blendGradientProgram(blended, 'share', 3),
    ],
    [
      'layer normalization',
      webgpuNorm.layerNormProgram([5, 3], {gamma: true, beta: true}),
      webglNorm.layerNormProgram([5, 3], {gamma: true, beta: true}),
    ],
    [
      "layer normalization's gradient",
      webgpuNorm.layerNormGradientProgram([5, 3], true),
      webglNorm.layerNormGradientProgram([5, 3], true),
    ],
  ])('%s in WGSL and GLSL', (_, webgpu, webgl) => {
    expect(statements(webgpu.getUserCode())).toMatchSnapshot();
    expect(statements(webgl.userCode)).toMatchSnapshot();
  });

  test("layer normalization's row sums in GLSL", () => {
    expect(statements(webglNorm.momentsProgram([5, 3]).userCode)).toMatchSnapshot();
    expect(statements(webglNorm.alongProgram([5, 3], true).userCode)).toMatchSnapshot();
  });

  test('no program asks for more workgroups in a dimension than every device has', () => {
    const rows = 65_535 * 64 + 1;
    const info = (...shape: number[]) => ({dataId: {}, shape, dtype: 'float32' as const});
    const named = {z: info(rows, 2), h: info(rows, 1), b: info(1, 2)};
    const attrs = {
      scale: 1,
      mix: 'none',
      activation: 'linear',
      saveZ: false,
      saveU: false,
    };
    const plain = {transposeA: false, transposeB: false};
    const programs = [
      webgpuCombine(named, attrs as never, 'y').program,
      webgpuCombine({z: named.z}, attrs as never, 'y').program,
      webgpuMatMul([1, rows, 2], plain, [rows, 2]),
      webgpuMatMul([rows, 1, 2], plain, [rows, 1, 2]),
      webgpuPacked({x: info(rows, 17), codes: info(3, 3)}, {...int4, transposeW: false}, [rows, 3]),
      webgpuRows({codes: info(3, 3), indices: info(rows)}, int4, [rows, 3]),
      webgpuColumnSum(rows, false),
      webgpuAdam('m', [rows, 2], []),
      webgpuGates.softmaxProgram([rows, 2]),
      webgpuBlend.blendProgram(blended, [rows, 3]),
      webgpuNorm.layerNormProgram([rows, 2], {gamma: false, beta: false}),
    ];
    for (const {dispatch} of programs) expect(Math.max(...dispatch)).toBeLessThanOrEqual(65_535);
  });
});
