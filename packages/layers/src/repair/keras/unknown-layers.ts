import * as tf from '@tensorflow/tfjs-core';
import {own} from '../../core/io/json.js';
import {withArticle} from '../../core/messages.js';
// For its layers, which register themselves when the package is loaded.
import '@tensorflow/tfjs-layers';
import {UnsupportedModelError} from '../log.js';
import {everyLayer, type LayerConfig, nameOf} from './config.js';

const AS_GRAPH =
  'Convert the model to a GraphModel (tensorflowjs_converter ' +
  '--output_format=tfjs_graph_model), which normalizeArtifacts and upgrade also accept.';

/** Where a class has a better way out than a GraphModel. */
const WAYS_OUT: Record<string, string> = {
  TFOpLambda:
    'It is a TensorFlow function used as a layer: replace it with a layer (Add, Multiply, ' +
    `Concatenate, ...) before you convert the model. ${AS_GRAPH}`,
  SlicingOpLambda:
    'It is a tensor slice used as a layer: replace it with a custom layer before you convert the ' +
    `model. ${AS_GRAPH}`,
  Lambda:
    'It holds Python code: register a layer of that name with tf.serialization.registerClass. ' + AS_GRAPH,
  SeparableConv1D:
    'Replace it with a Conv1D, or with a SeparableConv2D on an expanded axis, before you convert ' +
    `the model. ${AS_GRAPH}`,
  TextVectorization:
    'It maps strings, which must happen before the model: convert only the layers after it, ' +
    'and tokenize in JavaScript.',
  StringLookup:
    'It maps strings, which must happen before the model: convert only the layers after it, ' +
    'and look up the words in JavaScript.',
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
      `Layer '${nameOf(layer)}' is ${withArticle(name)}, which tfjs-layers does not have. ` +
        (own(WAYS_OUT, name) ??
          `${AS_GRAPH} Or register a class of that name with tf.serialization.registerClass.`),
    );
  }
}
