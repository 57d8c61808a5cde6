// The wasm module's exports. It runs on the memory of tfjs's wasm backend, so it must
// have neither static data nor a heap.
export {activationGradient} from './activations';
export {adam} from './adam';
export {combine, combineScratch} from './combine';
export {addTo, depthwiseGradient, maxPoolGradient, patches} from './convolution';
export {gemm, gemmPair, gemmScratch} from './gemm';
export {mixDense, mixDenseGradient, mixExperts, mixExpertsGates} from './mix';
export {layerNorm, layerNormGradient} from './normalize';
export {columnSum} from './sums';
export {transpose} from './pack';
export {packedProduct, packedScratch, unpackRows} from './packed';
export {tile} from './repeat';
export {gatherRows, scatterAddRows, spreadRows} from './rows';
export {segmentSum} from './segment';
export {softmaxGradient, softmaxRows, streamGates, streamGatesGradient} from './softmax';
