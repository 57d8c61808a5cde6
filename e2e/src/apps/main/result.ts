/** Figures of one task; accuracies are on the test split. */
export interface TaskResult {
  name: string;
  classes: number;
  train: number;
  test: number;
  majority: number;
  probe: number;
  adapted: number;
  stderr: number;
}

/** What `--json` writes for one seed. */
export interface Result {
  command: 'main';
  backend: string;
  seed: number;
  steps: number;
  seconds: number;
  stepMs: number;
  adapter: {type: string; experts?: number; rank?: number; sites: number};
  /** Type of the base's weight format, if it is quantised. */
  format?: string;
  trainable: number;
  heads: number;
  total: number;
  share: number;
  adapterBytes: number;
  baseUnchanged: boolean;
  reload: {maxDiff: number};
  keptStep: number;
  /** Mean training losses of the first and of the last steps. */
  loss: {start: number; end: number};
  mean: {probe: number; adapted: number};
  tasks: TaskResult[];
}

/** What `--json` writes for several seeds: means, and each seed's own figures. */
export interface SeedsResult extends Omit<Result, 'seed' | 'keptStep'> {
  seeds: number[];
  runs: Result[];
}

/** Whether what a file holds is the result of a run with that seed, at least in what is made of it. */
export function isResult(value: unknown, seed: number): value is Result {
  const {command, seed: own, tasks, adapter, loss, mean, reload, ...rest} = Object(value) as Partial<Result>;
  const numbers = (of: unknown, keys: string[]) =>
    keys.every((key) => Number.isFinite((Object(of) as Record<string, unknown>)[key]));
  return (
    command === 'main' &&
    own === seed &&
    numbers(rest, [
      'steps',
      'seconds',
      'stepMs',
      'trainable',
      'heads',
      'total',
      'share',
      'adapterBytes',
      'keptStep',
    ]) &&
    numbers(adapter, ['sites']) &&
    numbers(loss, ['start', 'end']) &&
    numbers(mean, ['probe', 'adapted']) &&
    numbers(reload, ['maxDiff']) &&
    Array.isArray(tasks) &&
    tasks.length > 0 &&
    tasks.every(
      (task) =>
        typeof (Object(task) as Partial<TaskResult>).name === 'string' &&
        numbers(task, ['classes', 'train', 'test', 'majority', 'probe', 'adapted', 'stderr']),
    )
  );
}

const meanOf = <T>(items: T[], value: (item: T) => number) =>
  items.reduce((sum, item) => sum + value(item), 0) / items.length;

/**
 * Means over seeds. Test texts differ from seed to seed, so the standard errors of
 * a task shrink with their number.
 */
export function meanResult(runs: Result[]): SeedsResult {
  const {seed: _, keptStep: __, ...first} = runs[0]!;
  const tasks = first.tasks.map(({name, classes}, i): TaskResult => {
    const own = runs.map((run) => run.tasks[i]!);
    return {
      name,
      classes,
      train: Math.round(meanOf(own, ({train}) => train)),
      test: Math.round(meanOf(own, ({test}) => test)),
      majority: meanOf(own, ({majority}) => majority),
      probe: meanOf(own, ({probe}) => probe),
      adapted: meanOf(own, ({adapted}) => adapted),
      stderr: Math.sqrt(meanOf(own, ({stderr}) => stderr ** 2) / runs.length),
    };
  });
  return {
    ...first,
    seeds: runs.map(({seed}) => seed),
    steps: Math.round(meanOf(runs, ({steps}) => steps)),
    seconds: runs.reduce((sum, {seconds}) => sum + seconds, 0),
    stepMs: meanOf(runs, ({stepMs}) => stepMs),
    loss: {start: meanOf(runs, ({loss}) => loss.start), end: meanOf(runs, ({loss}) => loss.end)},
    baseUnchanged: runs.every(({baseUnchanged}) => baseUnchanged),
    reload: {maxDiff: Math.max(...runs.map(({reload}) => reload.maxDiff))},
    mean: {probe: meanOf(runs, ({mean}) => mean.probe), adapted: meanOf(runs, ({mean}) => mean.adapted)},
    tasks,
    runs,
  };
}
