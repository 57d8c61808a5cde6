import * as tf from '@tensorflow/tfjs-core';
import type {Log} from '../log.js';
import {type LayerConfig, type LayerRule, nameOf} from './config.js';

interface SerializedObject {
  class_name: string;
  config: Record<string, unknown>;
}

/**
 * Initializers, regularizers and constraints: small objects inside a layer's config
 * that tfjs must have a class for.
 */
export const objects: LayerRule = (layer, log) => {
  for (const [key, value] of Object.entries(layer.config)) {
    if (!isObject(value)) continue;
    if (key.endsWith('_regularizer')) regularizer(layer, key, value, log);
    // The file has every weight, so no initializer runs.
    else if (key.endsWith('_initializer') && !isRegistered(value)) {
      layer.config[key] = {class_name: 'Zeros', config: {}};
      log(
        'initializer',
        nameOf(layer),
        `${key} ${value.class_name} becomes Zeros: the weights come from the file.`,
      );
    }
  }
};

/** tfjs has one class for both kinds of penalty. */
function regularizer(layer: LayerConfig, key: string, value: SerializedObject, log: Log): void {
  const {class_name: name, config} = value;
  if (/^L[12]$/i.test(name)) {
    layer.config[key] = {class_name: 'L1L2', config: {l1: config.l1 ?? 0, l2: config.l2 ?? 0}};
    log('regularizer', nameOf(layer), `${key} ${name} becomes L1L2.`);
  } else if (!isRegistered(value)) {
    layer.config[key] = null;
    log(
      'regularizer',
      nameOf(layer),
      `${key} ${name}, which tfjs lacks, is removed: it affects only a training loss.`,
    );
  }
}

function isObject(value: unknown): value is SerializedObject {
  return typeof (value as SerializedObject | null)?.class_name === 'string';
}

function isRegistered({class_name}: SerializedObject): boolean {
  return class_name.replace(/^.*>/, '') in tf.serialization.SerializationMap.getMap().classNameMap;
}
