export * from './errors.js';
export {registerAdam, unregisterAdam} from './ops/adam.js';
export {combine} from './ops/combine.js';

import './ops/combine-gradient.js';

export {type PeftKernel, registerPeftKernels} from './kernel-registry.js';
export {matMul} from './ops/matmul.js';
export {type ProjectInputs, project} from './ops/project.js';
export {type SparseSizes, sparsePays} from './ops/sparse.js';
export {
  ACTIVATIONS,
  type Activation,
  type CombineInputs,
  type CombineParts,
  gradientFrom,
  type Mix,
  type Scale,
} from './types.js';
