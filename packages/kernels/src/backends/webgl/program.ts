import type {MathBackendWebGL} from '@tensorflow/tfjs-backend-webgl';
import type {KernelBackend, TensorInfo} from '@tensorflow/tfjs-core';

/** What tfjs's webgl backend reads of a program; see its GPGPUProgram. */
export interface Program {
  variableNames: string[];
  outputShape: number[];
  userCode: string;
  packedInputs?: boolean;
  packedOutput?: boolean;
  customUniforms?: {name: string; type: 'float'}[];
}

/**
 * Runs a program, with the values of its custom uniforms; an input without elements, which no shader of ours
 * reads, is bound as one zero.
 */
export function run(
  backend: KernelBackend,
  program: Program,
  inputs: TensorInfo[],
  uniforms?: number[][],
): TensorInfo {
  const webgl = backend as MathBackendWebGL;
  const bound = inputs.map((input) => {
    if (!input.shape.includes(0)) return input;
    return webgl.makeTensorInfo(
      input.shape.map(() => 1),
      'float32',
      new Float32Array(1),
    );
  });
  // tfjs does not export the type of its programs, which Program follows.
  const output = webgl.runWebGLProgram(program as never, bound, 'float32', uniforms);
  bound.forEach((input, i) => {
    if (input !== inputs[i]) webgl.disposeIntermediateTensorInfo(input);
  });
  return output;
}

/** The same data under another shape. */
export function reshaped(tensor: TensorInfo, shape: number[]): TensorInfo {
  return {dataId: tensor.dataId, shape, dtype: tensor.dtype};
}

/** A vector as a matrix of one row, as packed shaders read it; a matrix as it is. */
export const asRow = (tensor: TensorInfo): TensorInfo =>
  tensor.shape.length === 1 ? reshaped(tensor, [1, tensor.shape[0]!]) : tensor;

/** The name that a shader's getters have of an input. */
export const samplerName = (name: string): string => `${name[0]!.toUpperCase()}${name.slice(1)}`;

/**
 * A program over 2 x 2 blocks of a matrix. `block` is GLSL that makes `vec4 result` of `row` and `column`;
 * `functions` stands before it.
 */
export function blockProgram({
  variableNames,
  outputShape,
  uniforms = [],
  functions = '',
  block,
}: {
  variableNames: string[];
  outputShape: [rows: number, columns: number];
  uniforms?: readonly string[] | undefined;
  functions?: string;
  block: string;
}): Program {
  return {
    variableNames,
    outputShape,
    packedInputs: true,
    packedOutput: true,
    customUniforms: uniforms.map((name) => ({name, type: 'float'})),
    userCode: `
      ${functions}
      void main() {
        ivec2 at = getOutputCoords();
        int row = at.x;
        int column = at.y;
        ${block}
        ${clearBeyond(...outputShape)}
        setOutput(result);
      }`,
  };
}

/**
 * GLSL that clears the cells of a packed 2 x 2 texel beyond the output's edge, which tfjs takes to be zero.
 */
export function clearBeyond(rows: number, columns: number): string {
  return `
    if (row + 1 >= ${rows}) result.ba = vec2(0.0);
    if (column + 1 >= ${columns}) result.ga = vec2(0.0);`;
}
