import type {TensorInfo} from '@tensorflow/tfjs-core';
import type {PackedAttrs} from '../../kernel-attrs.js';
import {codesPerWord, HALF_BITS} from '../../packed/layout.js';

/**
 * What of a packed matrix is in the text of a shader that reads it. Sizes are uniforms, and so are the bits
 * of codes and words: a page that has several formats compiles fewer shaders.
 */
export const unpackKey = (names: readonly string[], {values, halfScale, halfOffset}: PackedAttrs): string =>
  `${names.join('.')}_${values}_${halfScale}_${halfOffset}`;

export const UNPACK_UNIFORMS =
  'bits : i32, perWord : i32, halvesPerWord : i32, group : i32, unitColumns : i32, zero : i32,';

export const unpackUniforms = ({bits, wordBits, group, unitColumns, zero}: PackedAttrs) =>
  [bits, codesPerWord(bits, wordBits), codesPerWord(HALF_BITS, wordBits), group, unitColumns, zero ?? 0].map(
    (value) => ({type: 'int32' as const, data: [value]}),
  );

/** A half may be subnormal, which a GPU's own conversion may take for zero. */
const HALF_CODE = `
  fn halfOf(bits : u32) -> f32 {
    let normal = bitcast<f32>(((bits & 0x7fffu) << 13u) + 0x38000000u);
    let size = select(normal, f32(bits & 0x3ffu) / 16777216.0, (bits & 0x7c00u) == 0u);
    return bitcast<f32>(bitcast<u32>(size) | ((bits & 0x8000u) << 16u));
  }`;

/** Values `f32` are made plain before a kernel has them. */
const VALUES: Partial<Record<PackedAttrs['values'], string>> = {
  integer: 'f32(i32(code) - unit.zero)',
  f16: 'halfOf(code)',
  bf16: 'bitcast<f32>(code << 16u)',
  codebook: 'codebookIn[code]',
};

/** WGSL of the number of a few bits that is `row` of those which words of `part` hold along the rows. */
const packedAt = (part: string, perWord: string, bits: string): string =>
  `bitsOf(bitcast<u32>(${part}In[row / ${perWord} * uniforms.unitColumns + at]), row % ${perWord}, ${bits})`;

/**
 * WGSL that makes numbers of codes, of the inputs `<part>In`: `bitsOf(word, place, bits)` is a code,
 * `unitAt(row, column)` what the weights of a unit share, by the unit's row and any column of the matrix, and
 * `weightOf(code, unit)` a weight.
 */
export function unpackCode(
  has: (part: string) => boolean,
  {values, halfScale, halfOffset}: PackedAttrs,
): string {
  const floats = (part: string, half: boolean): string =>
    half
      ? `halfOf(${packedAt(part, 'uniforms.halvesPerWord', '16')})`
      : `${part}In[row * uniforms.unitColumns + at]`;
  const zero = has('zeros')
    ? `i32(${packedAt('zeros', 'uniforms.perWord', 'uniforms.bits')})`
    : 'uniforms.zero';
  return `
  fn bitsOf(word : u32, place : i32, bits : i32) -> u32 {
    return (word >> u32(place * bits)) & ((1u << u32(bits)) - 1u);
  }
  struct Unit { scale : f32, offset : f32, zero : i32 }
  ${halfScale || halfOffset || values === 'f16' ? HALF_CODE : ''}
  fn unitAt(row : i32, column : i32) -> Unit {
    let at = select(column, 0, uniforms.unitColumns == 1);
    var unit : Unit;
    ${has('scale') ? `unit.scale = ${floats('scale', halfScale)};` : ''}
    ${has('offset') ? `unit.offset = ${floats('offset', halfOffset)};` : ''}
    unit.zero = ${zero};
    return unit;
  }
  fn weightOf(code : u32, unit : Unit) -> f32 {
    let value = ${VALUES[values]};
    return ${has('scale') ? 'unit.scale * ' : ''}value${has('offset') ? ' + unit.offset' : ''};
  }`;
}

/** The names under which a shader has its inputs. */
export const inputNames = (inputs: Record<string, TensorInfo>): string[] =>
  Object.keys(inputs).map((name) => `${name}In`);
