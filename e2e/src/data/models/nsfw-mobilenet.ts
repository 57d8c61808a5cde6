import {createRequire} from 'node:module';
import {join} from 'node:path';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type LayersModel, loadLayersModel} from '@tensorflow/tfjs-layers';
import {packageFolder} from './package-folder.js';

const require = createRequire(import.meta.url);

/**
 * A model of `nsfwjs`, whose topology and weights are scripts: what is to be done
 * to the topology is done to a copy.
 */
function scriptsHandler(name: string, change: (json: tf.io.ModelJSON) => void = () => {}): tf.io.IOHandler {
  const folder = join(packageFolder('nsfwjs'), 'dist/models', name);
  return {
    async load() {
      // Through JSON, and not by structuredClone, whose arrays are not tfjs's Array in a test of jest's.
      const json = JSON.parse(JSON.stringify(require(join(folder, 'model.min.js')))) as tf.io.ModelJSON;
      change(json);
      return tf.io.getModelArtifactsForJSON(json, async (manifest) => {
        const shards = manifest
          .flatMap(({paths}) => paths)
          .map((path) => Buffer.from(require(join(folder, `${path}.min.js`)) as string, 'base64'));
        const buffers = shards.map((shard) => Uint8Array.from(shard).buffer);
        return [tf.io.getWeightSpecs(manifest), tf.io.concatenateArrayBuffers(buffers)];
      });
    },
  };
}

/** Height and width of the images that the GraphModel takes, with three colours from 0 to 1. */
export const NSFW_MOBILENET_SIZE = 224;

const MOBILENET =
  'StatefulPartitionedCall/sequential/keras_layer/StatefulPartitionedCall/StatefulPartitionedCall/StatefulPartitionedCall/predict';

/** Names of nodes: the features of a whole image [1792], and the logits of the model's own five classes. */
export const NSFW_MOBILENET_NODES = {
  features: `${MOBILENET}/feature_vector/SpatialSqueeze`,
  logits: 'StatefulPartitionedCall/sequential/dense/BiasAdd',
};

/**
 * The last two blocks' pointwise convolutions, the one behind them, and the product that gives the logits.
 */
export const NSFW_MOBILENET_SITES = [
  /expanded_conv_1[56]\/(expand|project)\//,
  /MobilenetV2\/Conv_1\/Relu6$/,
  NSFW_MOBILENET_NODES.logits,
];

/**
 * MobileNetV2 of width 1.4 as `nsfwjs` ships it: a GraphModel whose weights are stored as uint8, in scripts.
 */
export function loadNsfwMobilenet(): Promise<GraphModel> {
  return loadGraphModel(scriptsHandler('mobilenet_v2_mid'));
}

/** Pixels of the LayersModel's input for each of its last feature map. */
const STRIDE = 32;

interface LayerJson {
  class_name: string;
  config: Record<string, unknown>;
}

/**
 * MobileNetV2 of width 1.0 as `nsfwjs` ships it: a LayersModel whose weights are stored as uint8,
 * for images of 224 x 224 with colours from 0 to 1. Its convolutions take any size; what names
 * one is the input and the pooling.
 *
 * @param size height and width of the images, a multiple of 32.
 */
export function loadNsfwMobilenetLayers(size: number): Promise<LayersModel> {
  const handler = scriptsHandler('mobilenet_v2', ({modelTopology}) => {
    const topology = modelTopology as {model_config: {config: {layers: LayerJson[]}}};
    for (const {class_name, config} of topology.model_config.config.layers) {
      if (class_name === 'InputLayer') config.batch_input_shape = [null, size, size, 3];
      if (class_name === 'AveragePooling2D') {
        config.pool_size = [size / STRIDE, size / STRIDE];
        config.strides = config.pool_size;
      }
    }
  });
  return loadLayersModel(handler);
}
