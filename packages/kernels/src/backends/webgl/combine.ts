import type {CombineAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {SCALES, type ScaleName} from '../../types.js';
import {combineStages, type Named, type Stage, scaleKind, usedBy} from '../combine-stages.js';
import {activateCode} from './activations.js';
import {mixTo} from './mix.js';
import {asRow, blockProgram, type Program, run, samplerName} from './program.js';

const sampler = (name: string): string => `get${samplerName(name)}`;

/** GLSL that adds left [rows, depth] · right [depth, columns] to a packed 2 x 2 block. */
function productLoop(sum: string, depth: number, left: string, right: string): string {
  return `
    for (int k = 0; k < ${depth}; k += 2) {
      vec4 a = ${left};
      vec4 b = ${right};
      ${sum} += a.rrbb * b.rgrg;
      ${depth % 2 === 0 ? '' : `if (k + 1 < ${depth})`} ${sum} += a.ggaa * b.baba;
    }`;
}

/** GLSL of `vec4 <name>Scale(int row, int column)`, a packed block of the scale. */
function scaleCode(inputs: Named, name: ScaleName, heads = 1): string {
  const kind = scaleKind(inputs, name);
  if (kind === 'none') return '';
  const head = `vec4 ${name}Scale(int row, int column)`;
  if (kind === 'vector') return `${head} { return ${sampler(name)}(0, column).rgrg; }`;
  const [experts, width] = inputs[`${name}Table`]!.shape as [number, number];
  if (heads > 1) return byHead(name, {heads, experts, width});
  return `${head} {
    vec4 sum = vec4(0.0);
    ${productLoop('sum', experts, `${sampler(`${name}Gates`)}(row, k)`, `${sampler(`${name}Table`)}(k, column)`)}
    return sum;
  }`;
}

/**
 * The same for gates by head. A head may begin in the middle of a texel of the output or of the gates, so
 * every element is read on its own.
 */
function byHead(
  name: ScaleName,
  {heads, experts, width}: {heads: number; experts: number; width: number},
): string {
  const element = (from: string, r: string, c: string): string =>
    `${name}Pick(${sampler(`${name}${from}`)}(${r}, ${c}), ${r}, ${c})`;
  return `
  float ${name}Pick(vec4 texel, int r, int c) {
    vec2 half2 = imod(r, 2) == 0 ? texel.rg : texel.ba;
    return imod(c, 2) == 0 ? half2.x : half2.y;
  }
  float ${name}At(int row, int column) {
    int first = column / ${width / heads} * ${experts};
    float sum = 0.0;
    for (int e = 0; e < ${experts}; e++) {
      int k = first + e;
      sum += ${element('Gates', 'row', 'k')} * ${element('Table', 'e', 'column')};
    }
    return sum;
  }
  vec4 ${name}Scale(int row, int column) {
    return vec4(${name}At(row, column), ${name}At(row, column + 1), ${name}At(row + 1, column), ${name}At(row + 1, column + 1));
  }`;
}

function times(inputs: Named, name: ScaleName, value: string): string {
  return scaleKind(inputs, name) === 'none' ? value : `${name}Scale(row, column) * (${value})`;
}

/** A uniform: a number written into the source would make a different program for each value. */
const hasScale = (inputs: Named): boolean => inputs.h !== undefined;

/** GLSL from the base block `base` and the tail block `tail` to `result`. */
function epilogue(inputs: Named, stage: Stage): string {
  const z = inputs.bias === undefined ? 'base' : 'base + getBias(0, column).rgrg';
  if (stage === 'z') return `vec4 result = ${z};`;
  const terms = [times(inputs, 'alpha', z)];
  if (inputs.h !== undefined) terms.push(times(inputs, 'beta', 'scale * tail'));
  if (inputs.offset !== undefined) terms.push('getOffset(0, column).rgrg');
  const u = terms.join(' + ');
  return stage === 'u' ? `vec4 result = ${u};` : `vec4 result = ${times(inputs, 'post', `activate(${u})`)};`;
}

/** One packed program for one stage of combine, over inputs of rank 2. */
export function combineProgram(inputs: Named, {activation, heads = {}}: CombineAttrs, stage: Stage): Program {
  const rows = (inputs.z ?? inputs.x)!.shape[0]!;
  const columns = (inputs.z ?? inputs.kernel)!.shape[1]!;
  const left = scaleKind(inputs, 'pre') === 'none' ? 'getX(row, k)' : 'getX(row, k) * preScale(row, k)';
  return blockProgram({
    variableNames: Object.keys(inputs).map(samplerName),
    outputShape: [rows, columns],
    uniforms: hasScale(inputs) ? ['scale'] : [],
    functions: `
      ${SCALES.map((name) => scaleCode(inputs, name, heads[name])).join('\n')}
      ${stage === 'y' ? activateCode(activation) : ''}`,
    block: `
        vec4 base = ${inputs.z === undefined ? 'vec4(0.0)' : 'getZ(row, column)'};
        vec4 tail = vec4(0.0);
        ${inputs.x === undefined ? '' : productLoop('base', inputs.x.shape[1]!, left, 'getKernel(k, column)')}
        ${inputs.h === undefined ? '' : productLoop('tail', inputs.h.shape[1]!, 'getH(row, k)', 'getB(k, column)')}
        ${epilogue(inputs, stage)}`,
  });
}

/** Fragment shaders read at least 16 textures; no combine has more inputs. */
const MAX_INPUTS = 16;

/**
 * The combine kernel. The tail's left factor is mixed by a program of its own, so that the product reads it
 * packed.
 */
export const PeftCombine: PeftKernel<'PeftCombine'> = ({inputs: named, attrs, backend}) => {
  const {gates, ...parts} = named;
  const mixed = gates === undefined ? undefined : mixTo(backend, named.h!, gates, attrs.mix);
  if (mixed !== undefined) parts.h = mixed;
  const outputs = combineStages(backend, parts, attrs, MAX_INPUTS, (inputs, stage) => {
    const used = Object.fromEntries(
      Object.entries(usedBy(inputs, stage)).map(([name, info]) => [name, asRow(info!)]),
    );
    const uniforms = hasScale(used) ? [[attrs.scale]] : undefined;
    return run(backend, combineProgram(used, attrs, stage), Object.values(used), uniforms);
  });
  if (mixed !== undefined) backend.disposeData(mixed.dataId);
  return outputs;
};
