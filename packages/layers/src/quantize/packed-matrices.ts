import type * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError} from '@tfjs-peft/kernels';
import {peftOf} from '../core/lifecycle/kinds.js';
import type {PackableMatrix} from '../core/lifecycle/packable.js';
import type {UpgradableModel} from '../core/lifecycle/peft.js';
import {inBase} from './in-base.js';

/** A quantised weight of a model. */
export interface LocatedMatrix {
  /** Path of its layer or node. */
  layer: string;
  matrix: PackableMatrix;
}

/**
 * Works on the quantised weights of a model, each once.
 *
 * @param what Names the caller in messages.
 * @throws ConfigError if there are none, or the model is being trained.
 */
export function packedMatrices<T>(
  what: string,
  model: UpgradableModel | tfl.LayersModel,
  use: (found: readonly LocatedMatrix[]) => Promise<T>,
): Promise<T> {
  return inBase(model, async () => {
    const state = peftOf(model).changing();
    const found: LocatedMatrix[] = [];
    for (const {info, status} of state.select(() => true)) {
      if (status !== 'adapted') continue;
      const matrix = state.matrixAt(info.name);
      if (typeof matrix === 'string' || matrix.packed === undefined) continue;
      if (found.some((other) => matrix.sharedWith?.includes(other.layer))) continue;
      found.push({layer: info.name, matrix});
    }
    if (found.length === 0)
      throw new ConfigError(`${what}: the model has no quantised weights. Call quantizeModel first.`);
    return use(found);
  });
}
