import {ConfigError} from '@tfjs-peft/kernels';
import {type AddWeight, LIMITS, type Weight} from '@tfjs-peft/routers';
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
 * The weights of its own that an adapter would have at a site of these dimensions. It runs the `build` that layers run and makes no tensor.
 *
 * @throws ConfigError if the config is not good.
 */
export function adapterShapes(config: AdapterConfig, dims: SiteDims): WeightShape[] {
  return declared(config, dims).flatMap(({trainable, ...weight}) =>
    trainable === 'shared' ? [] : [{...weight, trainable}],
  );
}

/** The weights that an adapter would have in common with its other sites, as large as this one needs them. */
export function sharedShapes(config: AdapterConfig, dims: SiteDims): {name: string; shape: number[]}[] {
  return declared(config, dims).flatMap(({name, shape, trainable}) =>
    trainable === 'shared' ? [{name, shape}] : [],
  );
}

function declared(config: AdapterConfig, dims: SiteDims) {
  const weights: {name: string; shape: number[]; trainable: boolean | 'shared'}[] = [];
  const declare: AddWeight = (name, shape, _init, trainable = true) => {
    weights.push({name, shape, trainable});
    return NO_VALUE;
  };
  createAdapter(config, dims).build(dims, declare);
  return weights;
}

/** The same, but asked at each weight whether there can be so many parameters, so that no number of a config makes a tensor too large. */
export function bounded(type: string, {inputDim, outputDim}: SiteDims, add: AddWeight): AddWeight {
  let total = 0;
  return (name, shape, ...rest) => {
    total += sizeOf(shape);
    if (!(total <= LIMITS.parameters)) {
      throw new ConfigError(
        `${type} adapter: with its weight '${name}' [${shape}] it has more than ${LIMITS.parameters} parameters at a site ` +
          `[${inputDim}, ${outputDim}]. Set smaller options.`,
      );
    }
    return add(name, shape, ...rest);
  };
}

/**
 * How many parameters an adapter would train at a site of these dimensions.
 *
 * @throws ConfigError if the config is not good.
 */
export function countTrainable(config: AdapterConfig, dims: SiteDims): number {
  return adapterShapes(config, dims)
    .filter(({trainable}) => trainable)
    .reduce((total, {shape}) => total + sizeOf(shape), 0);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, axis) => size * axis, 1);
}
