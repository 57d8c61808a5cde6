export {LIMITS, plainCopy} from './bounds.js';
export {className, describe, isPlain, shortened} from './describe.js';
export * from './errors.js';
export type * from './kernel-attrs.js';
export type {
  Axes,
  AxesOf as KernelAxes,
  BackendName,
  KERNELS,
  KernelAttrs,
  KernelInputs,
  KernelName,
  KernelOutput,
  NoAttrs,
  PeftKernel,
  PeftKernels,
  Row as KernelRow,
  Rows as KernelRows,
  Shapes,
  Sizes,
} from './kernel-map.js';
export {registerPeftKernels, unregisterPeftKernels} from './kernel-registry.js';
export {registerAdam, unregisterAdam} from './ops/adam.js';
export {type BlendInputs, blendGates} from './ops/blend.js';
export {combine} from './ops/combine.js';
export {softmaxGates} from './ops/gates.js';
export {layerNorm} from './ops/layer-norm.js';
export {matMul} from './ops/matmul.js';
export {packedMatMul, unpackMatrix, unpackRows} from './ops/packed.js';
export {prepack} from './ops/prepack.js';
export {type ProjectInputs, project} from './ops/project.js';
export {ACTIVATION_RANKS} from './ops/shapes.js';
export {type SparseSizes, sparsePays} from './ops/sparse.js';
export {type StreamGatesOptions, streamGates} from './ops/stream-gates.js';
export {topKGates} from './ops/top-k.js';
export {
  checkBoolean,
  checkChoice,
  checkCount,
  checkInteger,
  checkNumber,
  checkOptions,
  checkPositive,
} from './options.js';
export {
  type Codes as PackedCodeArray,
  checkPacked,
  type PackedCodes,
  type PackedData,
  type PackedSpec,
  packData,
  unpackData,
} from './packed/data.js';
export {fromHalves, type HalfFormat, toHalves} from './packed/halves.js';
export {
  PACKED_BITS,
  PACKED_VALUES,
  type PackedBits,
  type PackedGrid,
  type PackedLayout,
  type PackedParts,
  type PackedValues,
} from './packed/layout.js';
export {
  disposePacked,
  isPacked,
  type PackedKernel,
  type PackedMatrix,
  packedBytes,
  packedFrom,
  packMatrix,
  readPacked,
  type TransposedPacked,
  transposePacked,
} from './packed/matrix.js';
export {keepsHalves, readsPanels} from './packed/words.js';
export {patchReasons, type Reason as PatchReason, reapplyPatches} from './patches.js';
export {uniformNumbers} from './random.js';
export {type Definition, define, Registry} from './registry.js';
export {isInstance, SHARED_CLASS, type SharedClass, shared} from './shared.js';
export {
  ACTIVATIONS,
  type Activation,
  type CombineInputs,
  type CombineParts,
  gradientFrom,
  type Mix,
  SCALES,
  type Scale,
  type ScaleName,
} from './types.js';
