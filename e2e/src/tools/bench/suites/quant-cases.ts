import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {type QuantizationReport, quantizeModel} from '@tfjs-peft/layers/quantize';
import {type FormatConfig, type QuantizerConfig, quantizerDefinitions} from '@tfjs-peft/quant';
import {buildUseLite} from '../../../data/models/use-lite.js';
import type {UseLiteWeights} from '../../../data/models/use-lite-weights.js';
import {batchesOf} from './sentences.js';

/** Every quantiser, those that search with so many tries, GNP-IQ in the reading that lowers the error. */
export function quantizersWith(tries: number, seed = 0): Record<string, QuantizerConfig> {
  const options: Record<string, object> = {
    clip: {tries},
    'gnp-iq': {codesFrom: 'base', draws: tries, seed},
  };
  return Object.fromEntries(
    quantizerDefinitions().map(({type}) => [type, {type, ...options[type]} as QuantizerConfig]),
  );
}

export interface Quantised {
  model: LayersModel;
  report: QuantizationReport;
}

/** How {@link quantised} is to be made. */
export interface QuantisedOptions {
  format: FormatConfig;
  quantizer: QuantizerConfig;
  /** Tokens of texts, for quantisers that calibrate. */
  calibration: readonly number[][];
  useLite?: UseLiteWeights | undefined;
}

/** USE-lite whose Dense kernels, or whose table of embeddings, are quantised. */
export async function quantised(
  what: 'dense' | 'embedding',
  {format, quantizer, calibration, useLite}: QuantisedOptions,
): Promise<Quantised> {
  const model = buildUseLite(useLite);
  const batches = batchesOf(calibration);
  const targets = what === 'dense' ? ('all-dense' as const) : ['embedding'];
  const report = await quantizeModel(model, {format, quantizer, targets, data: {batches}});
  tf.dispose(batches);
  return {model, report};
}

/** Bytes of the weights in a model's file, without the topology. */
export async function fileBytes(model: LayersModel): Promise<number> {
  let bytes = 0;
  await model.save(
    tf.io.withSaveHandler(async ({weightData}) => {
      bytes = [weightData!].flat().reduce((sum, part) => sum + part.byteLength, 0);
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    }),
  );
  return bytes;
}
