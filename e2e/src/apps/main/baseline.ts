import {SPLITS} from '../../data/tasks/task.js';
import type {Interrupt} from '../../tools/command/interrupt.js';
import {accuracyOf, type Head, logitsOf} from '../../tools/probe/linear.js';
import {tuneProbe} from '../../tools/probe/probe.js';
import {Progress, type ProgressStream} from '../common/progress.js';
import type {ProbeFigures} from './checkpoint.js';
import type {EncodedTask} from './corpus.js';
import type {Crew} from './crew.js';
import {extractFeatures, type Features} from './features.js';

/** The frozen encoder with tuned probes: what the adapter is compared with, and where its heads begin. */
export interface Baseline {
  heads: Head[];
  /** Vectors of every split, by task. */
  vectors: Features['vectors'];
  figures: ProbeFigures[];
  secondsPerToken: number;
}

export async function measureBaseline(
  crew: Crew,
  tasks: EncodedTask[],
  interrupt: Interrupt,
  show: {stream: ProgressStream; quiet: boolean},
): Promise<Baseline> {
  const texts = tasks.reduce(
    (sum, task) => sum + SPLITS.reduce((own, split) => own + task[split].labels.length, 0),
    0,
  );
  const encoding = new Progress('frozen encoder: texts', texts, show.stream, show.quiet);
  const {vectors, secondsPerToken} = await extractFeatures(crew, tasks, interrupt, encoding);
  encoding.end();
  const probing = new Progress('probes: tasks', tasks.length, show.stream, show.quiet);
  const heads: Head[] = [];
  const figures: ProbeFigures[] = [];
  for (const [i, task] of tasks.entries()) {
    const data = (split: 'train' | 'validation') => ({
      vectors: vectors[i]![split],
      labels: task[split].labels,
    });
    const classes = task.classes.length;
    const probe = await tuneProbe(data('train'), data('validation'), classes, () => interrupt.check());
    const test = accuracyOf(logitsOf(probe.head, vectors[i]!.test), task.test.labels, classes);
    heads.push(probe.head);
    figures.push({task: task.name, l2: probe.l2, validation: probe.validationAccuracy, test});
    probing.advance(1, `${task.name} ${(100 * test).toFixed(1)}`);
  }
  probing.end();
  return {heads, figures, vectors, secondsPerToken};
}
