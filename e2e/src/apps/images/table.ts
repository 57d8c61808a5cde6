import colors from 'picocolors';
import {aligned, percent} from '../common/aligned.js';
import type {ImagesResult} from './result.js';

const signed = (gain: number) => (gain >= 0 ? '+' : '') + percent(gain);

/** The table of a run, for people. */
export function imagesTable({
  tasks,
  adapter,
  trainable,
  total,
  seeds,
  backend,
  seconds,
  baseUnchanged,
  reload,
}: ImagesResult): string {
  const rows = aligned([
    ['task', 'classes', 'train', 'validation', 'test', 'probe', 'adapted', 'gain', '± se', 'epoch'],
    ...tasks.map((task) => [
      task.name,
      String(task.classes),
      String(task.train),
      String(task.validation),
      String(task.test),
      percent(task.probe),
      percent(task.adapted),
      signed(task.gain),
      percent(task.gainStderr),
      task.keptEpoch.toFixed(seeds.length > 1 ? 1 : 0),
    ]),
  ]);
  const body = rows.map((line, i) => {
    if (i === 0) return colors.bold(line);
    const {gain, gainStderr} = tasks[i - 1]!;
    if (gain > 2 * gainStderr) return colors.green(line);
    return gain < -gainStderr ? colors.red(line) : line;
  });
  const size = [
    adapter.experts === undefined ? '' : ` ${adapter.experts} experts`,
    adapter.rank === undefined ? '' : ` rank ${adapter.rank}`,
  ].join('');
  return [
    ...body,
    '',
    `${adapter.type}${size} at ${adapter.sites} sites: ${trainable.toLocaleString('en')} parameters trained beside the ${total.toLocaleString('en')} of the model`,
    `${seeds.length > 1 ? `means over seeds ${seeds.join(', ')}` : `seed ${seeds[0]}`}; ${seconds.toFixed(0)} s on ${backend}`,
    `base weights ${baseUnchanged ? 'unchanged' : colors.red('CHANGED')}; reloaded in a new process: largest difference ${reload.maxDiff}`,
  ].join('\n');
}
