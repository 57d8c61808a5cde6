import {ConfigError} from '@tfjs-peft/kernels';
import {type AddWeight, type Init, LIMITS, type Weight, type WeightSharing} from '@tfjs-peft/routers';
import type {AdapterConfig, SiteDims} from './adapter.js';
import {createAdapter} from './registry.js';

const NO_VALUE: Weight = {
  read() {
    throw new ConfigError(
      'adapterShapes counts weights without values. Read weights in parts, not in build.',
    );
  },
};

/** A weight that an adapter would have at a site. */
export interface WeightShape {
  name: string;
  shape: number[];
  trainable: boolean;
}

/**
 * The weights that an adapter would have at a site with these widths, without those that it shares with other
 * sites. It runs the same `build` as layers do and makes no tensor.
 *
 * @throws ConfigError if the config is invalid.
 * @example
 * ```ts
 * import {adapterShapes} from '@tfjs-peft/layers';
 *
 * const shapes = adapterShapes({type: 'lora', rank: 8}, {inputDim: 64, outputDim: 32});
 * // lora_A [64, 8], lora_B [8, 32]
 * ```
 */
export function adapterShapes(config: AdapterConfig, dims: SiteDims): WeightShape[] {
  return declared(config, dims).flatMap(({trainable, ...weight}) =>
    typeof trainable === 'boolean' ? [{name: weight.name, shape: weight.shape, trainable}] : [],
  );
}

/** The weights that an adapter would have in common with its other sites, as large as this one needs them. */
export function sharedShapes(
  config: AdapterConfig,
  dims: SiteDims,
): {name: string; shape: number[]; init: Init; saved?: true}[] {
  return declared(config, dims).flatMap(({name, shape, init, trainable}) =>
    typeof trainable === 'boolean'
      ? []
      : [{name, shape, init, ...(trainable === 'shared-saved' && {saved: true as const})}],
  );
}

function declared(config: AdapterConfig, dims: SiteDims) {
  const weights: {name: string; shape: number[]; init: Init; trainable: boolean | WeightSharing}[] = [];
  const declare: AddWeight = (name, shape, init, trainable = true) => {
    weights.push({name, shape, init, trainable});
    return NO_VALUE;
  };
  createAdapter(config, dims).build(dims, declare);
  return weights;
}

/**
 * Wraps `add` and refuses a weight that takes the adapter above {@link LIMITS}.parameters, before any tensor
 * is made.
 */
export function bounded(type: string, {inputDim, outputDim}: SiteDims, add: AddWeight): AddWeight {
  let total = 0;
  return (name, shape, ...rest) => {
    total += sizeOf(shape);
    if (!(total <= LIMITS.parameters)) {
      throw new ConfigError(
        `${type} adapter: weight '${name}' [${shape}] takes it above ${LIMITS.parameters} parameters at a ` +
          `site [${inputDim}, ${outputDim}]. Set a smaller rank or fewer experts.`,
      );
    }
    return add(name, shape, ...rest);
  };
}

/**
 * The number of parameters that an adapter would train at a site with these widths.
 *
 * @throws ConfigError if the config is invalid.
 * @example
 * ```ts
 * import {countTrainable} from '@tfjs-peft/layers';
 *
 * const parameters = countTrainable({type: 'lora', rank: 8}, {inputDim: 64, outputDim: 32}); // 768
 * ```
 */
export function countTrainable(config: AdapterConfig, dims: SiteDims): number {
  return adapterShapes(config, dims)
    .filter(({trainable}) => trainable)
    .reduce((total, {shape}) => total + sizeOf(shape), 0);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, axis) => size * axis, 1);
}
