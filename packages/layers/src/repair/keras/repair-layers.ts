import * as tf from '@tensorflow/tfjs-core';
import {ConfigError} from '@tfjs-peft/kernels';
import {copyTopology, joinWeights, splitWeights, weightBytes} from '../../core/io/weight-bytes.js';
import type {Log} from '../log.js';
import {isLayerConfig, type LayerConfig} from './config.js';
import {expectedWeights} from './probe.js';
import {applyRules} from './rules.js';
import {kerasPaths} from './weight-paths.js';
import {renameWeights} from './weights.js';

/**
 * The artifacts of a LayersModel with every rule applied; what was given stays as it is.
 *
 * @throws UnsupportedModelError naming a layer that tfjs does not have, and the way out.
 * @throws WeightMismatchError naming a weight that does not fit the model.
 */
export async function repairLayers(artifacts: tf.io.ModelArtifacts, log: Log): Promise<tf.io.ModelArtifacts> {
  const topology = copyTopology<Record<string, unknown>>(artifacts.modelTopology!);
  const model = (topology.model_config ?? topology) as LayerConfig;
  if (!isLayerConfig(model)) {
    throw new ConfigError(
      'The modelTopology is neither a graph nor the config of a Keras model (class_name and config). Pass ' +
        'a model.json from the converter.',
    );
  }
  const paths = kerasPaths(model);
  applyRules(model, String(topology.keras_version ?? ''), log);
  // Drops keys that a rule left undefined: tfjs converts every key that it finds.
  const repaired = {...artifacts, modelTopology: copyTopology<object>(topology)};
  if (artifacts.weightSpecs === undefined) return repaired;

  const {weightSpecs, weightData, getWeightStream: stream} = artifacts;
  const hasData = weightData !== undefined || stream !== undefined;
  const numbers = hasData ? weightSpecs.reduce((sum, {shape}) => sum + tf.util.sizeFromShape(shape), 0) : 0;
  const expected = await expectedWeights(model, numbers);
  const specs = renameWeights(artifacts.weightSpecs, expected, paths, log);
  if (!specs.includes(undefined)) return {...repaired, weightSpecs: specs as tf.io.WeightsManifestEntry[]};
  const {getWeightStream, ...rest} = repaired;
  return {...rest, ...(await kept(artifacts, specs))};
}

/** Specs and bytes without the weights that belong to no layer. */
async function kept(
  artifacts: tf.io.ModelArtifacts,
  specs: readonly (tf.io.WeightsManifestEntry | undefined)[],
): Promise<Pick<tf.io.ModelArtifacts, 'weightSpecs' | 'weightData'>> {
  const stored = splitWeights(artifacts.weightSpecs!, await weightBytes(artifacts));
  return joinWeights(
    stored.flatMap(({bytes}, i) => {
      const spec = specs[i];
      return spec === undefined ? [] : [{spec, bytes}];
    }),
  );
}
