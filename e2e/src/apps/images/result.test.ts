import {meanGainError, pairedGain, taskResult} from './result.js';

describe('pairedGain', () => {
  it('counts only pictures on which the two differ, and its error is that of their mean', () => {
    const labels = Int32Array.of(0, 0, 0, 0);
    const {gain, gainStderr} = pairedGain(labels, Int32Array.of(0, 1, 1, 1), Int32Array.of(0, 0, 0, 1));
    expect(gain).toBe(0.5);
    // Differences 0, 1, 1, 0: variance 1/3, over four pictures.
    expect(gainStderr).toBeCloseTo(Math.sqrt(1 / 3 / 4), 12);
    expect(pairedGain(labels, labels, labels)).toEqual({gain: 0, gainStderr: 0});
  });
});

describe('meanGainError', () => {
  const seed = (gain: number, gainStderr: number) => ({gain, gainStderr});

  it('is that of the pictures, less by the root of the number of seeds', () => {
    expect(meanGainError([seed(0.1, 0.03)])).toBeCloseTo(0.03, 12);
    expect(meanGainError([seed(0.1, 0.03), seed(0.1, 0.03), seed(0.1, 0.03)])).toBeCloseTo(
      0.03 / Math.sqrt(3),
      12,
    );
  });

  it('is that of the seeds where they are further apart than the pictures explain', () => {
    expect(meanGainError([seed(0, 0.01), seed(0.2, 0.01)])).toBeCloseTo(0.1, 12);
  });
});

describe('taskResult', () => {
  it('gives means over seeds', () => {
    const seed = (probe: number, adapted: number, keptEpoch: number) => ({
      seed: 1,
      probe,
      adapted,
      gain: adapted - probe,
      gainStderr: 0.02,
      keptEpoch,
      rate: 0.003,
      probeFittedTo: 'pictures' as const,
    });
    const about = {name: 't', classes: 2, train: 10, validation: 5, test: 5};
    const {gain, probe, adapted, keptEpoch} = taskResult(about, [seed(0.5, 0.5, 0), seed(0.7, 0.8, 9)]);
    expect([probe, adapted, keptEpoch]).toEqual([0.6, 0.65, 4.5]);
    expect(gain).toBeCloseTo(0.05, 12);
  });
});
