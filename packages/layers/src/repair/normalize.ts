import type * as tf from '@tensorflow/tfjs-core';
import {type ArtifactSource, checkLoadOptions, loadArtifacts} from './artifact-source.js';
import {repairGraph} from './graph/repair-graph.js';
import {repairLayers} from './keras/repair-layers.js';
import type {Repair} from './log.js';

/** Options of {@link normalizeArtifacts}. */
export interface NormalizeOptions extends tf.io.LoadOptions {
  /** Called for each change while the model loads. */
  onRepair?: (repair: Repair) => void;
}

/** An IO handler that repairs the model that it loads. */
export interface NormalizingHandler {
  /** The changes of the last load. */
  readonly repairs: readonly Repair[];
  load(): Promise<tf.io.ModelArtifacts>;
}

/**
 * Wraps an IO handler and repairs models from the converter that stock tfjs 4.22 cannot load, or for which it
 * gives wrong results.
 *
 * GraphModels: FusedBatchNorm with `is_training` computes its batch statistics; activations that oneDNN fused
 * into a product (`GeluExact`, `GeluApproximate`, `Tanh`) become stock ops again; epsilons that float16
 * rounded to 0 become positive. LayersModels: exports of Keras 3, by h5 and `.keras`; `.keras` files of Keras
 * 2; SeparableConv2D, causal Conv1D, ZeroPadding1D, Cropping1D, GRU with `reset_after`, `L1` and `L2`,
 * `silu`, class names with a package, and weight names of any of these.
 *
 * The source is not changed: repaired parts of the artifacts are copies. `repairs` lists all changes.
 *
 * @param source An address for which tfjs has a handler, an IO handler with `load()`, or model artifacts.
 * @param options `onRepair`; and for an address, those of `tf.io.http` and `fromTFHub`.
 * @throws ConfigError if an option is unknown, or an option for fetching is set but `source` is not an
 * address.
 * @throws `load()` throws UnsupportedModelError, with the layer or node and a way out, if tfjs cannot run the
 * model; WeightMismatchError if the weights do not belong to the model; ConfigError if there is nothing to
 * load.
 * @example
 * ```ts compiled: it loads a model of yours
 * import * as tf from '@tensorflow/tfjs';
 * import {normalizeArtifacts} from '@tfjs-peft/layers/repair';
 *
 * const handler = normalizeArtifacts('https://example.org/model.json', {onRepair: console.log});
 * const model = await tf.loadGraphModel(handler);
 * ```
 */
export function normalizeArtifacts(
  source: ArtifactSource,
  options: NormalizeOptions = {},
): NormalizingHandler {
  checkLoadOptions(source, options);
  const {onRepair, ...loadOptions} = options;
  let repairs: Repair[] = [];
  return {
    get repairs() {
      return repairs;
    },
    async load() {
      const artifacts = await loadArtifacts(source, loadOptions);
      const done: Repair[] = [];
      const log = (rule: string, where: string, what: string) => {
        const repair = {rule, where, what};
        done.push(repair);
        onRepair?.(repair);
      };
      const isGraph = 'node' in artifacts.modelTopology!;
      const repaired = await (isGraph ? repairGraph : repairLayers)(artifacts, log);
      repairs = done;
      return repaired;
    },
  };
}
