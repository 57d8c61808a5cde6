import type * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {packedFrom} from '@tfjs-peft/kernels';
import {inside, type VariableInternals} from '../../core/tfjs/internals.js';
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
 * @param packed By name.
 */
export async function buildLayersModel(
  artifacts: tf.io.ModelArtifacts,
  packed: ReadonlyMap<string, PackedWeight>,
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
      if (weight !== undefined) exchange(variable, weight);
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

/** Leaves a weight of another shape alone. */
function exchange(variable: tfl.LayerVariable, {place, data}: PackedWeight): void {
  if (String(variable.shape) !== String(place.shape)) return;
  const fields = inside<VariableInternals>(variable);
  fields.val.dispose();
  fields.val = new PackedVariable(packedFrom(data), place, variable.originalName);
}
