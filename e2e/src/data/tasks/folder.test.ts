import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {InputError} from '../input-error.js';
import {loadTaskFolder} from './folder.js';
import type {Split} from './task.js';

const limits = {train: 100, validation: 100, test: 100};
const line = (text: string, label: string) => JSON.stringify({text, label});
const good: Record<Split, string> = {
  train: [line('one', 'a'), line('two', 'b'), line('three', 'a')].join('\n'),
  validation: [line('four', 'a'), line('five', 'b')].join('\n'),
  test: [line('six', 'b'), '', line(' seven  words ', 'a'), ''].join('\r\n'),
};

describe('loadTaskFolder', () => {
  let directory: string;

  const write = (task: string, splits: Partial<Record<Split, string | Buffer>>) => {
    mkdirSync(join(directory, task), {recursive: true});
    for (const [split, text] of Object.entries(splits)) {
      writeFileSync(join(directory, task, `${split}.jsonl`), text);
    }
  };
  const refusal = (splits: Partial<Record<Split, string | Buffer>>): string => {
    write('mine', splits);
    try {
      loadTaskFolder(directory, limits, 1);
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      expect((error as Error).message).not.toContain('\n');
      return (error as Error).message;
    }
    throw new Error('nothing was refused');
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tasks-'));
  });
  afterEach(() => rmSync(directory, {recursive: true}));

  it('reads every folder as a task, blank lines and line endings of any kind', () => {
    write('zoo', good);
    write('art', good);
    const tasks = loadTaskFolder(directory, limits, 1);
    expect(tasks.map(({name}) => name)).toEqual(['art', 'zoo']);
    expect(tasks[0]!.labels).toEqual(['a', 'b']);
    expect(tasks[0]!.test).toContainEqual({text: 'seven words', label: 0});
    expect(tasks[0]!.train).toHaveLength(3);
  });

  it('reads lines that an old Mac ended, and byte order marks wherever files were joined', () => {
    const mark = '\ufeff';
    write('mine', {
      ...good,
      train: mark + good.train.replaceAll('\n', '\r'),
      test: `${mark}${line('six', 'b')}\n${mark}${mark}${line('seven', 'a')}`,
    });
    const [task] = loadTaskFolder(directory, limits, 1);
    expect(task!.train.map(({text}) => text).sort()).toEqual(['one', 'three', 'two']);
    expect(task!.test.map(({text}) => text).sort()).toEqual(['seven', 'six']);
  });

  it('says so of labels that look alike, and of files in no task', () => {
    write('mine', {...good, train: [line('one', 'a'), line('two', 'b'), line('three', 'A')].join('\n')});
    writeFileSync(join(directory, 'other.jsonl'), good.train);
    const warnings: string[] = [];
    loadTaskFolder(directory, limits, 1, (warning) => warnings.push(warning));
    expect(warnings).toEqual([
      `${join(directory, 'other.jsonl')}: not in the folder of a task, so it is not read`,
      'task mine: the labels "A" and "a" are two classes; are they meant to be one?',
    ]);
  });

  it.each([
    ['with a byte order mark', Buffer.from(`\ufeff${good.test}`, 'utf16le')],
    ['without one', Buffer.from(good.test, 'utf16le')],
    ['of the other order', Buffer.from(good.test, 'utf16le').swap16()],
  ])('names a file in UTF-16 %s', (_, test) => {
    expect(refusal({...good, test})).toMatch(/test\.jsonl: looks like UTF-16; save the file as UTF-8$/);
  });

  it('names links to nothing, circles, and a folder in place of a file', () => {
    write('mine', {train: good.train, validation: good.validation});
    const test = join(directory, 'mine', 'test.jsonl');
    symlinkSync(join(directory, 'nowhere'), test);
    expect(refusal({})).toBe(`${test}: a link to something that is not there; mend it or remove it`);
    rmSync(test);
    symlinkSync(test, test);
    expect(refusal({})).toMatch(/test\.jsonl: cannot be looked at \(too many symbolic links/);
    rmSync(test);
    mkdirSync(test);
    expect(refusal({})).toMatch(/test\.jsonl: cannot be read \(illegal operation on a directory\)$/);
  });

  it('samples a split above its limit with the classes in proportion', () => {
    const many = Array.from({length: 300}, (_, i) => line(`text ${i}`, i % 3 === 0 ? 'a' : 'b')).join('\n');
    write('mine', {...good, train: many});
    const [task] = loadTaskFolder(directory, {...limits, train: 60}, 1);
    expect(task!.train).toHaveLength(60);
    expect(task!.train.filter(({label}) => label === 0)).toHaveLength(20);
    expect(loadTaskFolder(directory, {...limits, train: 60}, 1)[0]!.train).toEqual(task!.train);
    expect(loadTaskFolder(directory, {...limits, train: 60}, 2)[0]!.train).not.toEqual(task!.train);
  });

  it('names file and line of a line that is not JSON', () => {
    expect(refusal({...good, validation: `${line('x y', 'a')}\n{"text": oops}`})).toMatch(
      /validation\.jsonl:2: not JSON .* one \{"text"/,
    );
  });

  it.each([
    ['null', 'not an object'],
    ['["x", "a"]', 'not an object'],
    ['{"label": "a"}', '"text" is missing'],
    ['{"text": "x"}', '"label" is missing'],
    ['{"text": "x", "label": 3}', '"label" is 3'],
    ['{"text": "  ", "label": "a"}', '"text" is "  "'],
  ])('refuses the line %s', (bad, why) => {
    const message = refusal({...good, train: `${good.train}\n${bad}`});
    expect(message).toContain('train.jsonl:4: ');
    expect(message).toContain(why);
  });

  it('refuses a label that training never shows', () => {
    expect(refusal({...good, test: `${line('x', 'a')}\n${line('y', 'new')}`})).toMatch(
      /test\.jsonl:2: label "new" never occurs in train\.jsonl; add/,
    );
  });

  it('refuses missing and empty splits', () => {
    expect(refusal({train: good.train, test: good.test})).toMatch(
      /validation\.jsonl: missing; each task needs/,
    );
    expect(refusal({...good, validation: '\n\n'})).toMatch(/validation\.jsonl: empty; write/);
  });

  it('refuses a single class', () => {
    expect(refusal({...good, train: line('x', 'a')})).toMatch(
      /all 1 texts have the label "a"; a task needs at least 2/,
    );
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(refusal({...good, train: Buffer.from([0x7b, 0xff, 0xfe])})).toMatch(/train\.jsonl: not UTF-8/);
  });

  it('refuses a folder without tasks and a path that is no folder', () => {
    expect(() => loadTaskFolder(directory, limits, 1)).toThrow(/has no task; make a folder per task/);
    expect(() => loadTaskFolder(join(directory, 'absent'), limits, 1)).toThrow(/absent is not a folder/);
  });

  it('warns of texts that are in training too', () => {
    write('mine', {...good, test: line('one', 'a')});
    const warnings: string[] = [];
    loadTaskFolder(directory, limits, 1, (message) => warnings.push(message));
    expect(warnings).toEqual([expect.stringContaining('1 validation or test texts are also in train.jsonl')]);
  });
});
