import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';
import type {CombineAttrs} from '../../kernel-attrs.js';
import type {PeftKernel} from '../../kernel-map.js';
import {SCALES, type ScaleName} from '../../types.js';
import {combineStages, type Named, type Stage, scaleKind, usedBy} from '../combine-stages.js';
import {activateCode} from './activations.js';
import {mixedCode} from './mix.js';
import {flat, type Program, run} from './program.js';
import {eachOfTile, productLoop, tileDeclarations, tiled, tilePlace} from './tile.js';

/** WGSL of `fn <name>Scale(row, column)`; a table's width is that of the side that the scale acts on. */
function scaleCode(inputs: Named, name: ScaleName, heads = 1): string {
  const kind = scaleKind(inputs, name);
  if (kind === 'none') return '';
  const head = `fn ${name}Scale(row : i32, column : i32) -> f32`;
  if (kind === 'vector') return `${head} { return ${name}In[column]; }`;
  const width = name === 'pre' ? 'uniforms.dIn' : 'uniforms.dOut';
  if (heads > 1) {
    return `${head} {
    let at = (row * ${heads} + column / (${width} / ${heads})) * uniforms.${name}Experts;
    var sum = 0.0;
    for (var e = 0; e < uniforms.${name}Experts; e = e + 1) {
      sum = fma(${name}GatesIn[at + e], ${name}TableIn[e * ${width} + column], sum);
    }
    return sum;
  }`;
  }
  return `${head} {
    var sum = 0.0;
    for (var e = 0; e < uniforms.${name}Experts; e = e + 1) {
      sum = fma(${name}GatesIn[row * uniforms.${name}Experts + e], ${name}TableIn[e * ${width} + column], sum);
    }
    return sum;
  }`;
}

function times(inputs: Named, name: ScaleName, value: string): string {
  return scaleKind(inputs, name) === 'none' ? value : `${name}Scale(row, column) * (${value})`;
}

/** WGSL statements from the base product `base` and the tail `tail` to `value`, at (row, column). */
function epilogue(inputs: Named, stage: Stage, hasTail: boolean): string {
  const z = inputs.bias === undefined ? 'base' : 'base + biasIn[column]';
  if (stage === 'z') return `let value = ${z};`;
  const terms = [times(inputs, 'alpha', z)];
  if (hasTail) terms.push(times(inputs, 'beta', 'uniforms.scale * tail'));
  if (inputs.offset !== undefined) terms.push('offsetIn[column]');
  const u = terms.join(' + ');
  if (stage === 'u') return `let value = ${u};`;
  return `let value = ${times(inputs, 'post', `activate(${u})`)};`;
}

/**
 * One program for one stage of combine: base product, tail, scales, bias and activation in one pass over the
 * output.
 */
export function combineProgram(
  all: Named,
  {mix, activation, heads = {}}: CombineAttrs,
  stage: Stage,
): {program: Program; inputs: Named} {
  const inputs = usedBy(all, stage);
  const names = Object.keys(inputs);
  const hasTail = inputs.h !== undefined;
  const given = inputs.z !== undefined;
  const rows = (inputs.z ?? inputs.x)!.shape[0]!;
  const dOut = (inputs.z ?? inputs.kernel)!.shape[1]!;
  const kinds = SCALES.map((name) => `${scaleKind(inputs, name)[0]}${heads[name] ?? ''}`).join('');
  const key = `${names.join('.')}_${mix}_${activation}_${stage}_${kinds}`;
  const declarations = `
    ${hasTail ? mixedCode(mix) : ''}
    ${SCALES.map((name) => scaleCode(inputs, name, heads[name])).join('\n')}
    ${stage === 'y' ? activateCode(activation) : ''}`;
  const uniforms =
    'dIn : i32, dOut : i32, r1 : i32, r2 : i32, g : i32, preExperts : i32, alphaExperts : i32, ' +
    'betaExperts : i32, postExperts : i32, scale : f32,';
  const variableNames = names.map((name) => `${name}In`);
  if (given && !hasTail) {
    const program: Program = {
      variableNames,
      ...flat([rows, dOut]),
      shaderKey: `peftEpilogue_${key}`,
      uniforms,
      getUserCode: () => `
        ${declarations}
        fn main(index : i32) {
          if (index < uniforms.size) {
            let row = index / uniforms.dOut;
            let column = index % uniforms.dOut;
            let base = zIn[index];
            ${epilogue(inputs, stage, false)}
            result[index] = value;
          }
        }`,
    };
    return {program, inputs};
  }
  const left =
    scaleKind(inputs, 'pre') === 'none'
      ? 'xIn[row * uniforms.dIn + k]'
      : 'xIn[row * uniforms.dIn + k] * preScale(row, k)';
  const program: Program = {
    variableNames,
    outputShape: [rows, dOut],
    ...tiled(rows, dOut),
    dispatchLayout: {x: [1], y: [0]},
    shaderKey: `peftCombine_${key}`,
    uniforms,
    getUserCode: () => `
      ${declarations}
      ${tileDeclarations}
      fn main() {
        ${tilePlace('uniforms.outShape[0]', 'uniforms.dOut', '1')}
        var baseSums : array<vec4<f32>, 4>;
        var tailSums : array<vec4<f32>, 4>;
        ${given ? '' : productLoop('baseSums', 'uniforms.dIn', left, 'kernelIn[k * uniforms.dOut + column]')}
        ${hasTail ? productLoop('tailSums', 'uniforms.r2', 'mixed(row, k)', 'bIn[k * uniforms.dOut + column]') : ''}${eachOfTile(`let base = ${given ? 'zIn[row * uniforms.dOut + column]' : 'baseSums[r][c]'};
              let tail = tailSums[r][c];
              ${epilogue(inputs, stage, hasTail)}
              result[row * columns + column] = value;`)}
      }`,
  };
  return {program, inputs};
}

function runStage(backend: KernelBackend, named: Named, attrs: CombineAttrs, stage: Stage): TensorInfo {
  const {program, inputs} = combineProgram(named, attrs, stage);
  const width = (name: keyof Named, axis: number): number => inputs[name]?.shape[axis] ?? 0;
  const int = (value: number) => ({type: 'int32' as const, data: [value]});
  return run(backend, program, Object.values(inputs) as TensorInfo[], [
    int(width('x', 1)),
    int(program.outputShape[1]!),
    int(width('h', 1)),
    int(width('b', 0)),
    int(width('gates', 1)),
    ...SCALES.map((name) => int(width(`${name}Table`, 0))),
    {type: 'float32', data: [attrs.scale]},
  ]);
}

/** A shader stage binds eight storage buffers on every device, one of which is the output. */
const MAX_INPUTS = 7;

/** The combine kernel. */
export const PeftCombine: PeftKernel<'PeftCombine'> = ({inputs: named, attrs, backend}) => {
  return combineStages(backend, named, attrs, MAX_INPUTS, (inputs, stage) =>
    runStage(backend, inputs, attrs, stage),
  );
};
