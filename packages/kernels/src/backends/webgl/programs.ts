import type {GpuPrograms} from '../gpu-kernels.js';
import {activationGradient} from './activation-gradient.js';
import {adam} from './adam.js';
import {blend, blendGradient} from './blend.js';
import {columnSum} from './column-sum.js';
import {combine} from './combine.js';
import {keep, softmax, softmaxGradient, streamGradient, streams} from './gates.js';
import {layerNorm, layerNormGradient} from './layer-norm.js';
import {matMul} from './matmul.js';
import {mix, mixGradient} from './mix.js';

export const programs: GpuPrograms = {
  activationGradient,
  adam,
  blend,
  blendGradient,
  columnSum,
  combine,
  keep,
  layerNorm,
  layerNormGradient,
  matMul,
  mix,
  mixGradient,
  softmax,
  softmaxGradient,
  streamGradient,
  streams,
};
