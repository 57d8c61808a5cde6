import * as tf from '@tensorflow/tfjs-core';
import {own} from '../../core/io/json.js';
// For its layers, which register themselves when the package is loaded.
import '@tensorflow/tfjs-layers';
import {UnsupportedModelError} from '../log.js';
import {everyLayer, type LayerConfig, nameOf} from './config.js';

const AS_GRAPH =
  'Convert the model as a GraphModel (tensorflowjs_converter --output_format=tfjs_graph_model), which normalizeArtifacts and upgrade take too.';

/** Where a class has a better way out than a GraphModel. */
const WAYS_OUT: Record<string, string> = {
  TFOpLambda: `It is a TensorFlow function used as a layer: write it as a layer of its own (Add, Multiply, Concatenate, ...) before you convert. ${AS_GRAPH}`,
  SlicingOpLambda: `It is a slice of a tensor used as a layer: write it as a layer of its own before you convert. ${AS_GRAPH}`,
  Lambda: `It holds Python code: register a layer of that name with tf.serialization.registerClass. ${AS_GRAPH}`,
  SeparableConv1D: `Write it as a Conv1D, or as a SeparableConv2D on an expanded axis, before you convert. ${AS_GRAPH}`,
  TextVectorization:
    'It maps strings, which belongs in front of the model: convert what follows it, and tokenize in JavaScript.',
  StringLookup:
    'It maps strings, which belongs in front of the model: convert what follows it, and look the words up in JavaScript.',
};

/**
 * @throws UnsupportedModelError naming the first layer that tfjs has no class for.
 */
export function refuseUnknown(model: LayerConfig): void {
  const {classNameMap} = tf.serialization.SerializationMap.getMap();
  for (const {layer} of everyLayer(model)) {
    if (Object.hasOwn(classNameMap, layer.class_name)) continue;
    const {class_name: name} = layer;
    throw new UnsupportedModelError(
      `tfjs-layers has no layer ${name}, which '${nameOf(layer)}' is. ` +
        (own(WAYS_OUT, name) ??
          `${AS_GRAPH} Or register a class of that name with tf.serialization.registerClass.`),
    );
  }
}
