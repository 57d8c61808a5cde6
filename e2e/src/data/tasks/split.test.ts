import {random} from './random.js';
import {clean, makeTask, sample} from './split.js';
import type {Example, LabelledText} from './task.js';

const limits = {train: 1500, validation: 300, test: 500};
const texts = (count: number, classes: number): LabelledText[] =>
  Array.from({length: count}, (_, i) => ({text: `text number ${i}`, label: `class ${i % classes}`}));
const count = (examples: Example[], label: number) =>
  examples.filter((example) => example.label === label).length;

describe('clean', () => {
  it('collapses white space and drops repeated and tiny texts', () => {
    const kept = clean([
      {text: ' a\n b ', label: 'x'},
      {text: 'a b', label: 'y'},
      {text: 'c', label: 'x'},
    ]);
    expect(kept).toEqual([{text: 'a b', label: 'x'}]);
  });
});

describe('makeTask', () => {
  it('makes disjoint, stratified splits within the limits', () => {
    const task = makeTask('t', texts(4000, 4), limits, 1);
    expect([task.train.length, task.validation.length, task.test.length]).toEqual([1500, 300, 500]);
    for (const label of [0, 1, 2, 3]) {
      expect(count(task.train, label)).toBe(375);
      expect(count(task.test, label)).toBe(125);
    }
    const all = [...task.train, ...task.validation, ...task.test].map(({text}) => text);
    expect(new Set(all).size).toBe(all.length);
  });

  it('takes a fifth for the test when there is little', () => {
    const task = makeTask('t', texts(100, 2), limits, 1);
    expect([task.train.length, task.validation.length, task.test.length]).toEqual([64, 16, 20]);
  });

  it('repeats itself for a seed and changes with it', () => {
    expect(makeTask('t', texts(200, 2), limits, 3)).toEqual(makeTask('t', texts(200, 2), limits, 3));
    expect(makeTask('t', texts(200, 2), limits, 4).test).not.toEqual(
      makeTask('t', texts(200, 2), limits, 3).test,
    );
  });

  it('keeps a group on one side', () => {
    const grouped = texts(600, 3).map((item, i) => ({...item, group: `document ${i % 60}`}));
    const task = makeTask('t', grouped, limits, 1);
    const document = ({text}: Example) => Number(text.split(' ')[2]) % 60;
    const test = new Set(task.test.map(document));
    const validation = new Set(task.validation.map(document));
    expect(test.size).toBeGreaterThan(0);
    for (const example of task.train) {
      expect(test.has(document(example))).toBe(false);
      expect(validation.has(document(example))).toBe(false);
    }
  });
});

describe('sample', () => {
  it('keeps every class while the limit allows it', () => {
    const skewed = [
      ...texts(1000, 1),
      ...Array.from({length: 9}, (_, i) => ({text: `rare ${i}`, label: `rare ${i}`})),
    ];
    const picked = sample(skewed, 20, random(1, 'test'));
    expect(picked).toHaveLength(20);
    expect(new Set(picked.map(({label}) => label)).size).toBe(10);
  });
});
