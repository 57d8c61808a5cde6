import colors from 'picocolors';
import {aligned, percent} from '../common/aligned.js';
import type {Result, SeedsResult} from './result.js';

function colored(line: string, gain: number, stderr: number): string {
  if (gain > 0) return colors.green(line);
  return gain < -stderr ? colors.red(line) : line;
}

/** The table of a run, or of the means over seeds, for people. */
export function table(result: Result | SeedsResult): string {
  const {tasks, mean, adapter, reload} = result;
  const rows = aligned([
    ['task', 'classes', 'train', 'test', 'majority', 'probe', 'adapted', '± se', 'gain'],
    ...tasks.map(({name, classes, train, test, majority, probe, adapted, stderr}) => [
      name,
      String(classes),
      String(train),
      String(test),
      percent(majority),
      percent(probe),
      percent(adapted),
      percent(stderr),
      (adapted >= probe ? '+' : '') + percent(adapted - probe),
    ]),
    [
      'mean',
      '',
      '',
      '',
      percent(tasks.reduce((sum, {majority}) => sum + majority, 0) / tasks.length),
      percent(mean.probe),
      percent(mean.adapted),
      '',
      (mean.adapted >= mean.probe ? '+' : '') + percent(mean.adapted - mean.probe),
    ],
  ]);
  const body = rows.map((line, i) => {
    if (i === 0 || i === rows.length - 1) return colors.bold(line);
    const {probe, adapted, stderr} = tasks[i - 1]!;
    return colored(line, adapted - probe, stderr);
  });
  const size = [
    adapter.experts === undefined ? '' : ` ${adapter.experts} experts`,
    adapter.rank === undefined ? '' : ` rank ${adapter.rank}`,
  ].join('');
  const seeds = 'seeds' in result ? `seeds ${result.seeds.join(', ')} (means)` : `seed ${result.seed}`;
  const kept = 'keptStep' in result ? `, kept step ${result.keptStep}` : '';
  return [
    ...body,
    '',
    `${adapter.type}${size} at ${adapter.sites} sites${result.format === undefined ? '' : ` of a base in ${result.format}`}: ${result.trainable.toLocaleString('en')} of ${result.total.toLocaleString('en')} parameters (${percent(result.share)} %) trained, heads ${result.heads.toLocaleString('en')} beside; ${(result.adapterBytes / 1024).toFixed(0)} KiB on disk`,
    `${seeds}: ${result.steps} steps of ${result.stepMs.toFixed(0)} ms on ${result.backend}${kept}, training loss ${result.loss.start.toFixed(3)} to ${result.loss.end.toFixed(3)}, ${result.seconds.toFixed(0)} s in all`,
    `base weights ${result.baseUnchanged ? 'unchanged' : colors.red('CHANGED')}; reloaded in a new process: largest difference ${reload.maxDiff}`,
  ].join('\n');
}
