import {isContainer, isLayerConfig, type LayerRule, layersOf, nameOf} from './config.js';

/**
 * Keras 3 says `batch_shape` where tfjs reads `batch_input_shape`, and a built Sequential may carry its
 * input's shape alone (tfjs#8328).
 */
export const convertInputs: LayerRule = (layer, log) => {
  const {config} = layer;
  if (Array.isArray(config.batch_shape)) {
    config.batch_input_shape ??= config.batch_shape;
    delete config.batch_shape;
    log('batch-shape', nameOf(layer), 'batch_shape becomes batch_input_shape.');
  }
  if (layer.class_name !== 'Sequential' || !isContainer(layer)) return;
  const first = layersOf(layer)[0];
  const shape = config.build_input_shape;
  if (!isLayerConfig(first) || first.class_name === 'InputLayer' || !Array.isArray(shape)) return;
  if (first.config.batch_input_shape !== undefined || first.config.batch_shape !== undefined) return;
  first.config.batch_input_shape = shape;
  log(
    'batch-shape',
    nameOf(first),
    `it is the first layer of '${nameOf(layer)}' and takes its build_input_shape.`,
  );
};
