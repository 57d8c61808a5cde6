import {createRequire} from 'node:module';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {type LayersModel, loadLayersModel} from '@tensorflow/tfjs-layers';
import {packageFolder} from './package-folder.js';

/** Pixels of its input for each of the last feature map. */
const STRIDE = 32;

interface LayerJson {
  class_name: string;
  config: Record<string, unknown>;
}

/**
 * MobileNetV2 of width 1.0 as `nsfwjs` ships it: a LayersModel whose weights are stored as uint8, for images of 224 x 224 with colours
 * from 0 to 1. Its convolutions take any size; what names one is the input and the pooling.
 *
 * @param size height and width of the images, a multiple of 32.
 */
export function loadNsfwMobilenetLayers(size: number): Promise<LayersModel> {
  const folder = join(packageFolder('nsfwjs'), 'dist/models/mobilenet_v2');
  const require = createRequire(import.meta.url);
  const json = structuredClone(require(join(folder, 'model.min.js'))) as tf.io.ModelJSON;
  const topology = json.modelTopology as {model_config: {config: {layers: LayerJson[]}}};
  for (const {class_name, config} of topology.model_config.config.layers) {
    if (class_name === 'InputLayer') config.batch_input_shape = [null, size, size, 3];
    if (class_name === 'AveragePooling2D') {
      config.pool_size = [size / STRIDE, size / STRIDE];
      config.strides = config.pool_size;
    }
  }
  return loadLayersModel({
    load: () =>
      tf.io.getModelArtifactsForJSON(json, async (manifest) => {
        const shards = manifest
          .flatMap(({paths}) => paths)
          .map((path) => Buffer.from(require(join(folder, `${path}.min.js`)) as string, 'base64'));
        const buffers = shards.map((shard) => Uint8Array.from(shard).buffer);
        return [tf.io.getWeightSpecs(manifest), tf.io.concatenateArrayBuffers(buffers)];
      }),
  });
}
