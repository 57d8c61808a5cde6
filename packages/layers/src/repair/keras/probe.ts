import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {isContainer, type Layer} from '../../upgrade/internals.js';
import {copyTopology} from '../source.js';
import {everyLayer, type LayerConfig} from './config.js';
import {chain} from './weight-paths.js';

/** A weight as tfjs will look for it. */
export interface ExpectedWeight {
  name: string;
  shape: number[];
}

/**
 * The weights of every layer that is no model, under the names of the models around it and its own. They are asked of tfjs-layers
 * itself, by building the model once with zeros, so that classes from outside the library are right too.
 */
export async function expectedWeights(model: LayerConfig): Promise<Map<string, ExpectedWeight[]>> {
  const blank = copyTopology<LayerConfig>(model);
  for (const {layer} of everyLayer(blank)) {
    for (const key of Object.keys(layer.config)) {
      if (key.endsWith('_initializer')) layer.config[key] = {class_name: 'Zeros', config: {}};
    }
  }
  const built = await tfl.loadLayersModel(tf.io.fromMemory({modelTopology: blank}));
  const weights = new Map<string, ExpectedWeight[]>();
  try {
    collect(built.layers, [], weights);
  } finally {
    built.dispose();
  }
  return weights;
}

function collect(layers: readonly Layer[], names: string[], weights: Map<string, ExpectedWeight[]>): void {
  for (const layer of layers) {
    const inner = [...names, layer.name];
    if (isContainer(layer)) collect(layer.layers, inner, weights);
    else if (layer.weights.length > 0) {
      weights.set(
        chain(inner),
        layer.weights.map((weight) => ({name: weight.originalName, shape: weight.shape as number[]})),
      );
    }
  }
}
