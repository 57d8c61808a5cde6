import {ConfigError} from '@tfjs-peft/kernels';
import type {Weight} from '@tfjs-peft/routers';
import type {AdapterConfig, SiteDims} from './adapter.js';
import {createAdapter} from './registry.js';

const NO_VALUE: Weight = {
  read() {
    throw new ConfigError('A weight that was only counted has no value. Add the adapter to a layer.');
  },
};

/** A weight that an adapter would have at a site. */
export interface WeightShape {
  name: string;
  shape: number[];
  trainable: boolean;
}

/**
 * The weights that an adapter would have at a site of these dimensions. It runs the `build` that layers run and makes no tensor.
 *
 * @throws ConfigError if the config is not good.
 */
export function adapterShapes(config: AdapterConfig, dims: SiteDims): WeightShape[] {
  const shapes: WeightShape[] = [];
  createAdapter(config, dims).build(dims, (name, shape, _init, trainable = true) => {
    shapes.push({name, shape, trainable});
    return NO_VALUE;
  });
  return shapes;
}

/**
 * How many parameters an adapter would train at a site of these dimensions.
 *
 * @throws ConfigError if the config is not good.
 */
export function countTrainable(config: AdapterConfig, dims: SiteDims): number {
  return adapterShapes(config, dims)
    .filter(({trainable}) => trainable)
    .reduce((total, {shape}) => total + shape.reduce((size, axis) => size * axis, 1), 0);
}
