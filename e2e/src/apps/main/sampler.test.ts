import type {EncodedTask} from './corpus.js';
import {Sampler} from './sampler.js';

function task(name: string, lengths: number[]): EncodedTask {
  const split = {
    texts: lengths.map((_, i) => `${name} ${i}`),
    tokens: lengths.map((length) => new Int32Array(length)),
    labels: Int32Array.from(lengths, () => 0),
  };
  return {name, classes: ['a', 'b'], train: split, validation: split, test: split};
}

const lengths = (count: number) => Array.from({length: count}, (_, i) => 1 + (i % 32));

describe('Sampler', () => {
  const tasks = [task('large', lengths(160)), task('other', lengths(160))];

  it('shows every text once an epoch, in batches of like length', () => {
    const sampler = new Sampler(tasks, 16, 32, 1);
    const seen = new Set<string>();
    for (let step = 0; step < 20; step++) {
      const items = sampler.batchOf(step).flatMap(({task, rows}) => rows.map((row) => ({task, row})));
      expect(items).toHaveLength(16);
      const own = items.map(({task, row}) => tasks[task]!.train.tokens[row]!.length);
      expect(Math.max(...own) - Math.min(...own)).toBeLessThanOrEqual(8);
      for (const {task, row} of items) seen.add(`${task} ${row}`);
    }
    expect(seen.size).toBe(320);
  });

  it('gives a step its batch whatever was asked before', () => {
    const all = new Sampler(tasks, 16, 32, 7);
    const batches = Array.from({length: 45}, (_, step) => all.batchOf(step));
    const resumed = new Sampler(tasks, 16, 32, 7);
    expect(resumed.batchOf(41)).toEqual(batches[41]);
    expect(new Sampler(tasks, 16, 32, 8).batchOf(41)).not.toEqual(batches[41]);
  });

  it('draws a small task more often than its share, not as often as a large one', () => {
    const sampler = new Sampler([task('large', lengths(900)), task('small', lengths(100))], 20, 32, 1);
    let small = 0;
    for (let step = 0; step < 50; step++) {
      for (const {task, rows} of sampler.batchOf(step)) if (task === 1) small += rows.length;
    }
    expect(small).toBe(250);
  });
});
