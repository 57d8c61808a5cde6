import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {initializers, layers, sequential} from '@tensorflow/tfjs-layers';
import type {Peft} from '../index.js';

/** How a net differs from the usual one. */
export interface HalvesNet {
  seed?: number;
  /** What each value of the hidden kernel is multiplied by. */
  factor?: number;
}

/** The same values on every machine; none of them is a half. */
export function halvesNet({seed = 1, factor = 1}: HalvesNet = {}): tfl.Sequential {
  const normal = (by: number) => initializers.randomNormal({stddev: 0.3, seed: seed + by});
  const net = sequential({
    layers: [
      layers.dense({
        units: 64,
        inputShape: [8],
        name: 'hidden',
        kernelInitializer: normal(0),
        biasInitializer: normal(1),
      }),
      layers.dense({units: 3, name: 'head', kernelInitializer: normal(2), biasInitializer: 'zeros'}),
    ],
  });
  const [kernel, ...rest] = net.getLayer('hidden').getWeights();
  if (factor !== 1) net.getLayer('hidden').setWeights([tf.mul(kernel!, factor), ...rest]);
  return net;
}

/** An adapter's file as JSON can carry it from a page. */
export interface Stored {
  artifacts: Omit<tf.io.ModelArtifacts, 'getWeightStream' | 'weightData'>;
  data: number[];
}

export async function storedOf(peft: Peft): Promise<Stored> {
  let stored: Stored | undefined;
  await peft.save({
    async save({weightData, ...artifacts}) {
      stored = {artifacts, data: [...new Uint8Array(weightData as ArrayBuffer)]};
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    },
  });
  return JSON.parse(JSON.stringify(stored)) as Stored;
}

export function storedIn({artifacts, data}: Stored): tf.io.IOHandler {
  return {load: async () => ({...artifacts, weightData: Uint8Array.from(data).buffer})};
}
