import type {PackedAttrs} from '../../kernel-attrs.js';
import {HALF_FORMATS, type HalfFormat} from '../../packed/halves.js';
import {codesPerWord} from '../../packed/layout.js';

/*
 * Words are integers in floats, exact as far as they have bits, and a code comes out of one by powers of two.
 * Texels have two rows of two columns; all functions of the shaders are of one row and two columns, the first
 * of which is even.
 */

/** GLSL of a power of two. */
const power = (exponent: number): string => (2 ** exponent).toExponential();

/** By which doublings an exponent becomes its power: `exp2` may be off. */
const DOUBLINGS: Record<HalfFormat, number[]> = {
  f16: [16, 8, 4, 2, 1],
  bf16: [64, 64, 64, 32, 16, 8, 4, 2, 1],
};

/** GLSL of numbers of 16 bits from their bits; the subnormal ones of halves too. */
function halvesCode(format: HalfFormat): string {
  const {mantissa, exponents} = HALF_FORMATS[format];
  const steps = DOUBLINGS[format].map(
    (by) => `if (exponent >= ${by}.0) { factor *= ${power(by)}; exponent -= ${by}.0; }`,
  );
  return `
      float ${format}Of(float bits) {
        float size = bits >= 32768.0 ? bits - 32768.0 : bits;
        float exponent = floor(size * ${power(-mantissa)});
        float fraction = size * ${power(-mantissa)} - exponent;
        float factor = ${power(2 - exponents / 2)};
        if (exponent > 0.0) { fraction += 1.0; exponent -= 1.0; }
        ${steps.join('\n        ')}
        return (bits >= 32768.0 ? -fraction : fraction) * factor;
      }
      vec2 ${format}Of(vec2 bits) { return vec2(${format}Of(bits.x), ${format}Of(bits.y)); }`;
}

const CODEBOOK = `
      float entryOf(float code) {
        int at = int(code);
        int odd = imod(at, 2);
        vec4 texel = getCodebook(0, at - odd);
        return odd == 0 ? texel.r : texel.g;
      }
      vec2 entryOf(vec2 code) { return vec2(entryOf(code.x), entryOf(code.y)); }`;

/** Values `f32` are made plain before a kernel has them. */
const VALUES: Partial<Record<PackedAttrs['values'], string>> = {
  integer: 'code - unit.zero',
  f16: 'f16Of(code)',
  bf16: 'bf16Of(code)',
  codebook: 'entryOf(code)',
};

/** How many codes a word has, and GLSL of the factors from one code of a word to the next and back. */
export function wordFactors({bits, wordBits}: PackedAttrs): {perWord: number; over: string; times: string} {
  return {perWord: codesPerWord(bits, wordBits), over: power(-bits), times: power(bits)};
}

/**
 * GLSL that makes numbers of codes, of the inputs `get<Part>`. `wordsAt(row, column)` are words;
 * `shiftOf(place)` is by what a code comes to a word's lowest bits, and `codesOf(words, shift)` are codes;
 * `unitAt(row, column)` is what the weights of a unit share, by the unit's row and any column of the matrix,
 * and `weightsOf(codes, unit)` are weights.
 */
export function unpackCode(has: (part: string) => boolean, attrs: PackedAttrs): string {
  const {values, unitColumns, zero, halfScale, halfOffset} = attrs;
  const {perWord, over, times} = wordFactors(attrs);
  const ofUnit = (sampler: string, row: string): string => {
    const both = (column: string) => `rowOf(${sampler}(${row} - imod(${row}, 2), ${column}), ${row})`;
    return unitColumns === 1 ? `${both('0')}.xx` : both('column');
  };
  // A word of at most 24 bits has one half.
  const floats = (part: string, half: boolean): string =>
    half ? `f16Of(${ofUnit(`get${part}`, 'row')})` : ofUnit(`get${part}`, 'row');
  const zeros = `codesOf(${ofUnit('getZeros', 'words')}, shiftOf(row - words * ${perWord}))`;
  return `
      struct Unit { vec2 scale; vec2 offset; vec2 zero; };
      vec2 rowOf(vec4 texel, int row) { return imod(row, 2) == 0 ? texel.rg : texel.ba; }
      ${halfScale || halfOffset || values === 'f16' ? halvesCode('f16') : ''}
      ${values === 'bf16' ? halvesCode('bf16') : ''}
      ${values === 'codebook' ? CODEBOOK : ''}
      float shiftOf(int place) {
        float shift = 1.0;
        for (int i = 1; i < ${perWord}; i++) if (i <= place) shift *= ${over};
        return shift;
      }
      vec2 codesOf(vec2 words, float shift) {
        vec2 lower = floor(words * shift);
        return lower - ${times} * floor(lower * ${over});
      }
      Unit unitAt(int row, int column) {
        Unit unit;
        ${has('scale') ? `unit.scale = ${floats('Scale', halfScale)};` : ''}
        ${has('offset') ? `unit.offset = ${floats('Offset', halfOffset)};` : ''}
        ${has('zeros') ? `int words = row / ${perWord};` : ''}
        unit.zero = ${has('zeros') ? zeros : `vec2(${zero ?? 0}.0)`};
        return unit;
      }
      vec2 weightsOf(vec2 code, Unit unit) {
        return ${has('scale') ? 'unit.scale * ' : ''}(${VALUES[values]})${has('offset') ? ' + unit.offset' : ''};
      }
      vec2 wordsAt(int row, int column) { return rowOf(getCodes(row - imod(row, 2), column), row); }`;
}
