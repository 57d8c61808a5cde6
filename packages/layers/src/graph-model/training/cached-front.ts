import * as tf from '@tensorflow/tfjs-core';
import {checkRows, sampleKeys, type TapCache} from '../../core/lifecycle/tap-cache.js';
import type {RunFront} from '../added-node.js';
import type {Executor} from '../internals.js';

/**
 * Runs the front of a graph once for each sample, and keeps what it gives. A graph does not tell which axes
 * are of samples, so the first run is also done with one sample and with that sample twice: what then has one
 * row and two rows has a row for each.
 */
export function cachedFront(executor: Executor, cache: TapCache): RunFront {
  const checked = new Set<string>();
  return async (named, names, run) => {
    const nodes = Object.keys(named);
    const inputs = Object.values(named);
    const map = (tensors: readonly tf.Tensor[]) =>
      Object.fromEntries(nodes.map((node, i) => [node, tensors[i]!]));
    const weights = Object.values(executor.weightMap).flat();
    const drop = (tensors: readonly tf.Tensor[]) => {
      const foreign = new Set([...inputs, ...weights]);
      for (const tensor of new Set(tensors)) if (!foreign.has(tensor)) tensor.dispose();
    };
    const compute = async (given: tf.Tensor[], rows: number): Promise<tf.Tensor[]> => {
      const outputs = await run(map(given));
      try {
        checkRows(outputs, rows);
        return outputs;
      } catch (error) {
        drop(outputs);
        throw error;
      } finally {
        drop(given);
      }
    };
    const wanted = JSON.stringify([nodes, names]);
    const values = await Promise.all(inputs.map((each) => each.data()));
    const keys = sampleKeys(inputs, values, wanted);
    if (keys.length === 0) return run(named);
    if (!checked.has(wanted)) {
      for (const rows of [1, 2]) {
        const places = tf.zeros([rows], 'int32') as tf.Tensor1D;
        const given = inputs.map((input) => tf.gather(input, places));
        places.dispose();
        drop(await compute(given, rows));
      }
      checked.add(wanted);
    }
    cache.follow(weights);
    const batch = cache.batch(keys);
    const {missing} = batch;
    const computed = missing.length === 0 ? [] : await compute(batch.inputs(inputs), missing.length);
    const joined = batch.join(computed) as tf.Tensor[];
    drop(computed);
    return joined;
  };
}
