import {isBetter} from '../common/selection.js';
import {affordableSteps, scheduleAt, validationSteps} from './schedule.js';

const start = {step: 0, accuracies: [0.8, 0.6]};

describe('isBetter', () => {
  it('wants a higher mean than the start, and no lower one than a later best', () => {
    expect(isBetter({step: 5, accuracies: [0.8, 0.6]}, start, start, [100, 100])).toBe(false);
    expect(isBetter({step: 5, accuracies: [0.8, 0.61]}, start, start, [100, 100])).toBe(true);
    const best = {step: 5, accuracies: [0.8, 0.61]};
    expect(isBetter({step: 9, accuracies: [0.81, 0.6]}, best, start, [100, 100])).toBe(true);
    expect(isBetter({step: 9, accuracies: [0.8, 0.6]}, best, start, [100, 100])).toBe(false);
  });

  it('takes no checkpoint that harms a task by more than a standard error', () => {
    expect(isBetter({step: 5, accuracies: [0.75, 0.9]}, start, start, [100, 100])).toBe(false);
    expect(isBetter({step: 5, accuracies: [0.77, 0.9]}, start, start, [100, 100])).toBe(true);
  });
});

describe('isBetter with few texts', () => {
  it('does not take one text for harm where all were right', () => {
    const perfect = {step: 0, accuracies: [1, 0.2]};
    expect(isBetter({step: 5, accuracies: [23 / 24, 0.4]}, perfect, perfect, [24, 24])).toBe(true);
    expect(isBetter({step: 5, accuracies: [21 / 24, 0.9]}, perfect, perfect, [24, 24])).toBe(false);
  });
});

describe('scheduleAt', () => {
  it('rises to 1 and falls to almost 0', () => {
    const rates = Array.from({length: 200}, (_, step) => scheduleAt(step, 200));
    expect(rates[0]).toBeCloseTo(1 / 20);
    expect(Math.max(...rates)).toBe(1);
    expect(rates[199]).toBeCloseTo(1 / 180);
    expect(scheduleAt(0, 1)).toBeGreaterThan(0);
  });
});

describe('affordableSteps', () => {
  it('spends what validation and the end leave', () => {
    expect(affordableSteps(210, {step: 0.5, validation: 10, rest: 20})).toBe(300);
    expect(affordableSteps(75, {step: 0.5, validation: 10, rest: 20})).toBe(70);
    expect(affordableSteps(10, {step: 0.5, validation: 6, rest: 20})).toBe(20);
  });

  it('always ends with a validation', () => {
    expect(validationSteps(100).at(-1)).toBe(100);
    expect(validationSteps(1)).toEqual([1]);
  });
});
