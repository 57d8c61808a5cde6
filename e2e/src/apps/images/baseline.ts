import {accuracyOf, logitsOf, predictionsOf} from '../../tools/probe/linear.js';
import {type Probe, tuneProbe} from '../../tools/probe/probe.js';
import type {ImageEncoder} from './encoder.js';
import type {Fronts} from './features.js';
import type {ImageTask} from './tasks.js';
import type {Work} from './work.js';

/** The frozen model with a tuned probe: what the adapter is compared with, and where its head begins. */
export interface Baseline extends Probe {
  /** What the probe was fitted to: validation chose. */
  fittedTo: 'pictures' | 'views';
  /** Classes that it says of the test pictures. */
  predictions: Int32Array;
  accuracy: number;
}

/**
 * Tunes the probe twice, on the training pictures as they are and on all the views that the adapter is
 * trained on, and takes the one that validation prefers: views alone are no merit of an adapter.
 */
export async function measureBaseline(
  encoder: ImageEncoder,
  task: ImageTask,
  fronts: Fronts,
  work: Work,
): Promise<Baseline> {
  const classes = task.classes.length;
  const vectorsOf = (front: Float32Array) =>
    encoder.vectors(front, (count) => work.did(0.5 * count, 'frozen part'));
  const views: Float32Array[] = [];
  for (const front of fronts.views) views.push(await vectorsOf(front));
  const [validation, test] = [await vectorsOf(fronts.validation), await vectorsOf(fronts.test)];
  const tune = (own: Float32Array[]) => {
    const vectors = new Float32Array(own.reduce((sum, {length}) => sum + length, 0));
    const labels = new Int32Array(own.length * task.train.labels.length);
    own.forEach((view, i) => {
      vectors.set(view, i * view.length);
      labels.set(task.train.labels, i * task.train.labels.length);
    });
    return tuneProbe({vectors, labels}, {vectors: validation, labels: task.validation.labels}, classes);
  };
  const plain = await tune(views.slice(0, 1));
  await work.did(0, 'probe');
  const changed = await tune(views);
  await work.did(0, 'probe');
  const better = changed.validationAccuracy > plain.validationAccuracy;
  const probe = better ? changed : plain;
  const logits = logitsOf(probe.head, test);
  return {
    ...probe,
    fittedTo: better ? 'views' : 'pictures',
    predictions: predictionsOf(logits, classes),
    accuracy: accuracyOf(logits, task.test.labels, classes),
  };
}
