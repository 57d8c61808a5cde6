import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import type {AnyPeft} from '../../graph.js';

export async function run(model: GraphModel, x: tf.Tensor): Promise<Float32Array> {
  const y = model.predict(x) as tf.Tensor;
  const values = (await y.data()) as Float32Array;
  y.dispose();
  return values.slice();
}

/** The same values for a kind of adapter wherever it is. */
export function fill(peft: Pick<AnyPeft, 'trainableVariables'>): void {
  peft.trainableVariables().forEach((variable, i) => {
    tf.tidy(() => variable.assign(tf.randomUniform(variable.shape, -0.5, 0.5, 'float32', 100 + i)));
  });
}

export function close(actual: Float32Array, expected: Float32Array, tolerance = 1e-5): void {
  expect(actual.length).toBe(expected.length);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  expect(worst).toBeLessThan(tolerance);
}

/** A handler that keeps what is saved, and gives it back as a file would: by value. */
export function memory(): {
  save: tf.io.IOHandler['save'] & {};
  load: () => Promise<tf.io.ModelArtifacts>;
} {
  let kept: tf.io.ModelArtifacts | undefined;
  return {
    save: async (artifacts: tf.io.ModelArtifacts) => {
      kept = JSON.parse(JSON.stringify({...artifacts, weightData: undefined}));
      kept!.weightData = tf.io.CompositeArrayBuffer.join(artifacts.weightData!).slice(0);
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON' as const}};
    },
    load: async () => kept!,
  };
}
