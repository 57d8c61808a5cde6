import type * as tf from '@tensorflow/tfjs-core';
import {type ArtifactSource, checkLoadOptions, loadArtifacts} from './artifact-source.js';
import {repairGraph} from './graph/repair-graph.js';
import {repairLayers} from './keras/repair-layers.js';
import type {Repair} from './log.js';

/** Options of {@link normalizeArtifacts}. */
export interface NormalizeOptions extends tf.io.LoadOptions {
  /** Called for each thing that is changed, while the model loads. */
  onRepair?: (repair: Repair) => void;
}

/** An IO handler that repairs what it loads. */
export interface NormalizingHandler {
  /** What was changed by the last load. */
  readonly repairs: readonly Repair[];
  load(): Promise<tf.io.ModelArtifacts>;
}

/**
 * An IO handler around any other, that repairs models which the converter writes and stock tfjs
 * 4.22 cannot load, or runs wrongly:
 *
 *     const model = await tf.loadGraphModel(normalizeArtifacts('https://example.org/model.json'));
 *     const model = await tf.loadLayersModel(normalizeArtifacts('file://model/model.json'));
 *
 * GraphModels: FusedBatchNorm with `is_training` computes its batch statistics; activations that oneDNN fused
 * into a product (`GeluExact`, `GeluApproximate`, `Tanh`) are stock ops again; epsilons that float16 rounded
 * to 0 are above 0. LayersModels: exports of Keras 3, by h5 and `.keras`; `.keras` files of Keras 2;
 * SeparableConv2D, causal Conv1D, ZeroPadding1D, Cropping1D, GRU with `reset_after`, `L1` and `L2`, `silu`,
 * class names with a package, and weight names of any of these.
 *
 * Nothing that was loaded is changed: the artifacts given on are new where they
 * differ. `repairs` lists what was done.
 *
 * @param source an address that tfjs has a handler for, an IO handler with `load()`, or model artifacts.
 * @param options `onRepair`; and for an address, those of `tf.io.http` and `fromTFHub`.
 * @throws ConfigError if an option is unknown, or says how to fetch what is no address.
 * @throws `load()` throws UnsupportedModelError, naming the layer or node and the way out, where the model
 * cannot be had in tfjs; WeightMismatchError where weights and model do not belong together; ConfigError
 * where there is nothing to load.
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
