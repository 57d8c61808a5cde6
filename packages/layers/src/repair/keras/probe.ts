import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {WeightMismatchError} from '@tfjs-peft/kernels';
import {copyTopology} from '../../core/io/weight-bytes.js';
import {isContainer, type Layer} from '../../core/tfjs/internals.js';
import {everyLayer, type LayerConfig} from './config.js';
import {chain} from './weight-paths.js';

/** A weight as tfjs will look for it. */
export interface ExpectedWeight {
  name: string;
  shape: number[];
}

/** How many numbers beyond twice those in the file the weights of a model may have: 4 MB. */
const SPARE = 1_000_000;

/**
 * The weights of every layer that is no model, under the names of the models around it and its own.
 * They are asked of tfjs-layers itself, by building the model once with zeros, so that classes from
 * outside the library are right too.
 *
 * @param numbers How many numbers the file has: a model that asks for more than twice as many is not built.
 * @throws WeightMismatchError that names the weight that is too much.
 */
export async function expectedWeights(
  model: LayerConfig,
  numbers: number,
): Promise<Map<string, ExpectedWeight[]>> {
  const blank = copyTopology<LayerConfig>(model);
  for (const {layer} of everyLayer(blank)) {
    for (const key of Object.keys(layer.config)) {
      if (key.endsWith('_initializer')) layer.config[key] = {class_name: 'Zeros', config: {}};
    }
  }
  const built = await withBudget(2 * numbers + SPARE, numbers, () =>
    tfl.loadLayersModel(tf.io.fromMemory({modelTopology: blank})),
  );
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

type AddWeight = (
  this: Layer,
  name: string,
  shape: (number | null)[],
  ...rest: unknown[]
) => tfl.LayerVariable;

/**
 * Loads a model whose layers may make at most so many numbers; each size is checked before a tensor is made.
 */
async function withBudget<T>(most: number, inFile: number, load: () => Promise<T>): Promise<T> {
  // Its types declare addWeight protected.
  const prototype = tfl.layers.Layer.prototype as unknown as {addWeight: AddWeight};
  const stock = prototype.addWeight;
  let left = most;
  prototype.addWeight = function (name, shape, ...rest) {
    left -= tf.util.sizeFromShape(shape as number[]);
    if (!(left >= 0)) {
      throw new WeightMismatchError(
        `Layer '${this.name}' needs '${name}' [${shape}], but the file holds only ${inFile} ` +
          'numbers in total. Convert the model again, with the config and weights of the same ' +
          'save.',
      );
    }
    return stock.call(this, name, shape, ...rest);
  };
  try {
    return await load();
  } finally {
    prototype.addWeight = stock;
  }
}
