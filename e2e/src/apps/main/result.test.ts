import {stripVTControlCharacters} from 'node:util';
import {meanResult, type Result} from './result.js';
import {table} from './table.js';

const run = (seed: number, probe: number, adapted: number): Result => ({
  command: 'main',
  backend: 'wasm',
  seed,
  steps: 300,
  seconds: 100,
  stepMs: 200 * seed,
  adapter: {type: 'molora', experts: 4, rank: 4, sites: 10},
  trainable: 263168,
  heads: 100,
  total: 6975744,
  share: 263168 / 6975744,
  adapterBytes: 1055000,
  baseUnchanged: true,
  reload: {maxDiff: seed / 1e9},
  keptStep: 300,
  loss: {start: 0.4, end: 0.2 + seed / 10},
  mean: {probe, adapted},
  tasks: [{name: 'emoji', classes: 9, train: 1500, test: 400, majority: 0.2, probe, adapted, stderr: 0.02}],
});

describe('meanResult', () => {
  it('averages accuracies, adds times, keeps the worst difference and every run', () => {
    const result = meanResult([run(1, 0.8, 0.84), run(3, 0.82, 0.84)]);
    expect(result).toMatchObject({seeds: [1, 3], seconds: 200, stepMs: 400, baseUnchanged: true});
    expect(result.reload.maxDiff).toBe(3e-9);
    expect(result.loss.end).toBeCloseTo(0.4);
    expect(result.mean.probe).toBeCloseTo(0.81);
    expect(result.tasks[0]!.probe).toBeCloseTo(0.81);
    expect(result.tasks[0]!.stderr).toBeCloseTo(0.02 / Math.SQRT2);
    expect(result.runs).toHaveLength(2);
    expect('seed' in result || 'keptStep' in result).toBe(false);
  });
});

describe('table', () => {
  it('has a line a task, their mean, and what was trained', () => {
    const lines = stripVTControlCharacters(table(run(1, 0.8, 0.845))).split('\n');
    expect(lines[0]).toMatch(/task +classes +train +test +majority +probe +adapted +± se +gain/);
    expect(lines[1]).toMatch(/emoji +9 +1500 +400 +20\.0 +80\.0 +84\.5 +2\.0 +\+4\.5/);
    expect(lines[2]).toMatch(/mean +20\.0 +80\.0 +84\.5 +\+4\.5/);
    expect(lines.join('\n')).toContain('263,168 of 6,975,744 parameters (3.8 %) trained');
    expect(lines.join('\n')).toContain('base weights unchanged');
  });

  it('says which seeds a mean is over', () => {
    expect(table(meanResult([run(1, 0.8, 0.84), run(2, 0.8, 0.7)]))).toContain('seeds 1, 2 (means)');
  });
});
