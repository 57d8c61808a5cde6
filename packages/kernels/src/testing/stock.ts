/** What tfjs has of its own: import this before anything of ours. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-webgpu';

/** Everything that ours can stand in front of, by name. */
export type Registries = ReadonlyMap<string, unknown>;

/** tfjs keeps its registries in one global map, of which it lists the kernels only. */
export function registries(): Registries {
  const {_tfGlobals: globals} = globalThis as unknown as {
    _tfGlobals: Map<string, Map<string, {kernelFunc?: object; gradFunc?: object}>>;
  };
  const entries = ['kernelRegistry', 'gradRegistry'].flatMap((registry) =>
    [...globals.get(registry)!].map(([name, config]): [string, unknown] => [`${registry} ${name}`, config]),
  );
  return new Map([...entries, ['Adam', tf.AdamOptimizer.prototype.applyGradients]]);
}

export const STOCK = registries();
