import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {packedFrom} from '@tfjs-peft/kernels';
import type {StoredWeight} from '../../core/io/weight-bytes.js';
import {peftOf} from '../../core/lifecycle/kinds.js';
import type {PackableMatrix} from '../../core/lifecycle/packable.js';
import {inside, type VariableInternals} from '../../core/tfjs/internals.js';
import {mapModel} from '../../core/tfjs/model-map.js';
import {PackedVariable} from '../../core/tfjs/packed-variable.js';
import type {PackedWeight} from './packed-weight.js';

/** What layers make their weights by. */
interface LayerPrototype {
  addWeight(this: {fastWeightInitDuringBuild: boolean}, ...args: unknown[]): tfl.LayerVariable;
}

/**
 * Builds a LayersModel of its file. Each packed weight takes the place of the plain one as soon as its layer
 * has made that. Weights that the file lacks stay zeros, so compare the names afterwards.
 *
 * @param packed By name; those that have found their place are removed.
 */
export async function buildLayersModel(
  artifacts: tf.io.ModelArtifacts,
  packed: Map<string, PackedWeight>,
): Promise<tfl.LayersModel> {
  const prototype = inside<LayerPrototype>(tfl.layers.Layer.prototype);
  const {addWeight} = prototype;
  const load = async (): Promise<tf.io.ModelArtifacts> => {
    // From here on tfjs builds the model and sets its weights without a break.
    prototype.addWeight = function (...args) {
      const {fastWeightInitDuringBuild} = this;
      // Zeros: random initial values would be for nothing.
      this.fastWeightInitDuringBuild = true;
      const variable = addWeight.apply(this, args);
      this.fastWeightInitDuringBuild = fastWeightInitDuringBuild;
      const weight = packed.get(variable.originalName);
      if (weight !== undefined && exchange(variable, weight)) packed.delete(weight.name);
      return variable;
    };
    return artifacts;
  };
  try {
    return await tfl.loadLayersModel({load}, {strict: false});
  } finally {
    prototype.addWeight = addWeight;
  }
}

/** @returns Whether the weight has the shape. */
function exchange(variable: tfl.LayerVariable, {place, data}: PackedWeight): boolean {
  if (String(variable.shape) !== String(place.shape)) return false;
  const fields = inside<VariableInternals>(variable);
  fields.val.dispose();
  fields.val = new PackedVariable(packedFrom(data), place, variable.originalName);
  return true;
}

/** A packed weight that its layer computes with. */
export interface Settled extends Pick<PackableMatrix, 'weight' | 'shape'> {
  /** The layer's path. */
  layer: string;
  packed: NonNullable<PackableMatrix['packed']>;
}

/** Lets the layers of packed weights compute with them as they are, where they can. */
export function settle(model: tfl.LayersModel): Settled[] {
  const state = peftOf(model).changing();
  return mapModel(model).layers.flatMap(({path}): Settled[] => {
    const matrix = state.matrixAt(path);
    if (typeof matrix === 'string' || matrix.packed === undefined) return [];
    const {weight, shape, packed} = matrix;
    matrix.pack(packed);
    return [{layer: path, weight, shape, packed}];
  });
}

/** Names of a model's own weights, without those of an optimizer. */
export function namesOf(weights: readonly StoredWeight[]): string[] {
  return weights.filter(({spec}) => spec.group !== 'optimizer').map(({spec}) => spec.name);
}
