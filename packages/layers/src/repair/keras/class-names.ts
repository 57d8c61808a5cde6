import * as tf from '@tensorflow/tfjs-core';
import {own} from '../../core/io/json.js';
import {type LayerRule, nameOf} from './config.js';

/** Layers that tfjs lacks and this package supplies, under names of our own: tfjs may add its own later. */
const SUBSTITUTES: Record<string, string> = {
  ZeroPadding1D: 'PeftZeroPadding1D',
  Cropping1D: 'PeftCropping1D',
};

/** Keras registers classes as `package>Name` and writes that to h5; tfjs looks for the bare name. */
export const classNames: LayerRule = (layer, log) => {
  const {classNameMap} = tf.serialization.SerializationMap.getMap();
  const bare = layer.class_name.replace(/^.*>/, '');
  const name = Object.hasOwn(classNameMap, bare) ? bare : (own(SUBSTITUTES, bare) ?? bare);
  if (name === layer.class_name) return;
  log('class-name', nameOf(layer), `class '${layer.class_name}' becomes '${name}'.`);
  layer.class_name = name;
};
