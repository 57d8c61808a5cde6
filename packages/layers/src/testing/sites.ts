import * as tf from '@tensorflow/tfjs';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {PeftLayer} from '../index.js';

export {ADAPTERS, dropIn} from './adapters.js';

/** A tensor of normal values that are the same in every run. */
export function normal(shape: number[], seed: number): tf.Tensor {
  return tf.randomNormal(shape, 0, 1, 'float32', seed);
}

/** Moves every weight of an adapter away from where it started. */
export function disturb(layer: PeftLayer, adapter: string, seed = 5, size = 0.3): void {
  for (const [, variable] of layer.adapterWeights(adapter)) {
    const moved = tf.tidy(() =>
      tf.add(variable.read(), tf.mul(normal(variable.shape as number[], seed), size)),
    );
    variable.write(moved);
    moved.dispose();
  }
}

/** Saves a model and loads the copy, through JSON as a file would go. */
export async function reloaded<Model extends LayersModel>(
  model: Model,
  load: (handler: tf.io.IOHandler) => Promise<LayersModel>,
): Promise<{copy: LayersModel; artifacts: tf.io.ModelArtifacts}> {
  let artifacts!: tf.io.ModelArtifacts;
  await model.save(
    tf.io.withSaveHandler(async (saved) => {
      artifacts = saved;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    }),
  );
  const modelTopology = JSON.parse(JSON.stringify(artifacts.modelTopology)) as object;
  return {copy: await load(tf.io.fromMemory({...artifacts, modelTopology})), artifacts};
}
