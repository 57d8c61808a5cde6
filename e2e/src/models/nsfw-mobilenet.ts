import {createRequire} from 'node:module';
import {join} from 'node:path';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {packageFolder} from './package-folder.js';

/** Height and width of the images that it takes, with three colours from 0 to 1. */
export const NSFW_MOBILENET_SIZE = 224;

const MOBILENET =
  'StatefulPartitionedCall/sequential/keras_layer/StatefulPartitionedCall/StatefulPartitionedCall/StatefulPartitionedCall/predict';

/** Names of nodes: the features of a whole image [1792], and the logits of the model's own five classes. */
export const NSFW_MOBILENET_NODES = {
  features: `${MOBILENET}/feature_vector/SpatialSqueeze`,
  logits: 'StatefulPartitionedCall/sequential/dense/BiasAdd',
};

/** The last two blocks' pointwise convolutions, the one behind them, and the product that gives the logits. */
export const NSFW_MOBILENET_SITES = [
  /expanded_conv_1[56]\/(expand|project)\//,
  /MobilenetV2\/Conv_1\/Relu6$/,
  NSFW_MOBILENET_NODES.logits,
];

/** MobileNetV2 of width 1.4 as `nsfwjs` ships it: a GraphModel whose weights are stored as uint8, in scripts. */
export function loadNsfwMobilenet(): Promise<GraphModel> {
  const folder = join(packageFolder('nsfwjs'), 'dist/models/mobilenet_v2_mid');
  const require = createRequire(import.meta.url);
  const json = require(join(folder, 'model.min.js')) as tf.io.ModelJSON;
  return loadGraphModel({
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
