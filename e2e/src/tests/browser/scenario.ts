/** What is done with an adapter in a page of a browser, and what of it is done again in Node. */
import * as tf from '@tensorflow/tfjs';
import {
  type AdapterConfig,
  adapterDefinitions,
  loadPeft,
  type Peft,
  type StorageLocation,
  upgrade,
} from '@tfjs-peft/layers';

/**
 * One of each adapter; narrow, since software GPUs take long to compile. MoR1E
 * with what the samples bring along.
 */
export const ADAPTERS = adapterDefinitions().map(
  ({type, examples = []}) => (type === 'mor1e' ? {type, r1: 2, r2: 2} : examples[0]!) as AdapterConfig,
);

/** What the samples of {@link batch} bring along for MoR1E. */
const INTUITION = [0.1, 0.4, -0.2, 0.3];

/** The base model: the same weights wherever it is made. */
export function baseModel(): tf.LayersModel {
  const kernelInitializer = (seed: number) => tf.initializers.randomNormal({stddev: 0.5, seed});
  return tf.sequential({
    layers: [
      tf.layers.dense({
        units: 4,
        name: 'hidden',
        inputShape: [4],
        activation: 'relu',
        kernelInitializer: kernelInitializer(1),
      }),
      tf.layers.dense({units: 4, name: 'head', kernelInitializer: kernelInitializer(2)}),
    ],
  });
}

function batch(): {x: tf.Tensor; y: tf.Tensor} {
  const waves = (phase: number) => Array.from({length: 24}, (_, i) => Math.sin(1.3 * i + phase));
  return {x: tf.tensor(waves(0), [6, 4]), y: tf.tensor(waves(2), [6, 4])};
}

function setIntuition(peft: Peft): void {
  const intuition = tf.tensor2d([INTUITION]);
  peft.setContext({intuition});
  intuition.dispose();
}

async function outputsOf(model: tf.LayersModel): Promise<number[]> {
  const {x, y} = batch();
  const outputs = model.predict(x) as tf.Tensor;
  const values = Array.from(await outputs.data());
  tf.dispose([x, y, outputs]);
  return values;
}

export interface Life {
  /** Loss of every step of `fit`. */
  losses: number[];
  outputs: number[];
}

/** Upgrades the base model with an adapter, fits it, and saves the adapter to some places. */
export async function liveAndSave(config: AdapterConfig, places: StorageLocation[]): Promise<Life> {
  const model = baseModel();
  // One site, behind the frozen layer: a software GPU takes a second for each program of each shape.
  const peft = await upgrade(model, {adapter: config, targets: ['head'], seed: 3});
  setIntuition(peft);
  model.compile({optimizer: 'adam', loss: 'meanSquaredError'});
  const {x, y} = batch();
  const {history} = await model.fit(x, y, {epochs: 3, batchSize: 6, verbose: 0});
  tf.dispose([x, y]);
  const outputs = await outputsOf(model);
  for (const place of places) await peft.save(place);
  peft.detach();
  model.dispose();
  return {losses: history.loss as number[], outputs};
}

/** Outputs of a new base model with the adapter that was saved there. */
export async function loadAndRun(from: StorageLocation): Promise<number[]> {
  const model = baseModel();
  const peft = await loadPeft(model, from);
  setIntuition(peft);
  const outputs = await outputsOf(model);
  peft.detach();
  model.dispose();
  return outputs;
}
