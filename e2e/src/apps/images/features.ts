import {random} from '../../data/tasks/random.js';
import {SPLITS, type Split} from '../../data/tasks/task.js';
import type {ImageEncoder} from './encoder.js';
import {AS_IT_IS, randomView} from './render.js';
import type {ImageTask} from './tasks.js';
import type {Work} from './work.js';

/**
 * Changed copies of each training picture. They are made once: what lies before
 * the first adapter never changes.
 */
export const COPIES = 6;

/**
 * What the front of the model gives: for each split the pictures as they are, and for the training pictures
 * {@link COPIES} views too.
 */
export interface Fronts extends Record<Split, Float32Array> {
  /** The training pictures as they are, and then each copy of all of them. */
  views: Float32Array[];
}

/** How many pictures {@link frontsOf} puts through the front. */
export const frontCount = ({train, validation, test}: ImageTask): number =>
  train.labels.length * (1 + COPIES) + validation.labels.length + test.labels.length;

export async function frontsOf(
  encoder: ImageEncoder,
  task: ImageTask,
  seed: number,
  work: Work,
): Promise<Fronts> {
  const fronts = {} as Fronts;
  for (const split of SPLITS) {
    fronts[split] = await encoder.front(
      task[split].pictures,
      () => AS_IT_IS,
      (count) => work.did(count, 'frozen part'),
    );
  }
  const next = random(seed, `views of ${task.name}`);
  fronts.views = [fronts.train];
  for (let copy = 0; copy < COPIES; copy++) {
    fronts.views.push(
      await encoder.front(
        task.train.pictures,
        () => randomView(next, task.mirror),
        (count) => work.did(count, 'frozen part'),
      ),
    );
  }
  return fronts;
}
