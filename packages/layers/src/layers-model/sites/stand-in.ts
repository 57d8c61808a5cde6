import type * as tfl from '@tensorflow/tfjs-layers';
import {PeftDense} from './peft-dense.js';
import type {PeftLayer} from './peft-layer.js';
import {PeftWrapper} from './peft-wrapper.js';

/**
 * The layer with adapters that stands in for a built one, of whatever class.
 *
 * @throws UnsupportedSiteError if it cannot carry an adapter; ConfigError if it is not built.
 */
export function standIn(layer: tfl.layers.Layer): PeftLayer {
  return layer.getClassName() === 'Dense' ? PeftDense.fromDense(layer) : PeftWrapper.standIn(layer);
}
