import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, adapted, adapterDefinitions, createAdapter, type PeftDense} from '../index.js';

/**
 * The example configs of every adapter, each with the least that reaches all of its code;
 * all of them start as the identity.
 */
export const ADAPTERS = adapterDefinitions().flatMap(({examples = []}) => examples as AdapterConfig[]);

/** Whether an adapter can act where the output can only be scaled. */
export const scalesOnly = (config: AdapterConfig): boolean => createAdapter(config).scalesOnly === true;

/** A Dense that has a config's adapter from the start. */
export function dropIn(config: AdapterConfig, args: object): PeftDense {
  const {adapterName, trainableBase, seed, ...dense} = args as Record<string, never>;
  const options = Object.fromEntries(
    Object.entries({adapterName, trainableBase, seed}).filter(([, value]) => value !== undefined),
  );
  return adapted(tf.layers.dense(dense as never), config, options) as PeftDense;
}
