import * as tf from '@tensorflow/tfjs-core';
import {ResetAfterGRUCell} from './repair/layers/gru-cell.js';
import {Cropping1D, ZeroPadding1D} from './repair/layers/time-axis.js';

// Registered here, not in the classes' own files: a bundler would drop a class that only a saved model needs.
tf.serialization.registerClass(ResetAfterGRUCell);
tf.serialization.registerClass(ZeroPadding1D);
tf.serialization.registerClass(Cropping1D);

export type {ArtifactSource} from './repair/artifact-source.js';
export {ResetAfterGRUCell, type ResetAfterGRUCellArgs} from './repair/layers/gru-cell.js';
export {
  type BothEnds,
  Cropping1D,
  type Cropping1DArgs,
  type TimeAxisLayer,
  ZeroPadding1D,
  type ZeroPadding1DArgs,
} from './repair/layers/time-axis.js';
export {type Repair, UnsupportedModelError} from './repair/log.js';
export {type NormalizeOptions, type NormalizingHandler, normalizeArtifacts} from './repair/normalize.js';
