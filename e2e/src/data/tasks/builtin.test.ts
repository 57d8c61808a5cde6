import {BUILTIN_TASKS, loadBuiltinTasks} from './builtin.js';
import {mailText} from './spam.js';

const limits = {train: 200, validation: 60, test: 80};
const CLASSES: Record<string, number> = {
  supersense: 25,
  pos: 4,
  emoji: 9,
  spam: 2,
  gender: 2,
  language: 16,
  genre: 15,
};

describe('loadBuiltinTasks', () => {
  it('loads every built-in task with its classes, splits disjoint', () => {
    const tasks = loadBuiltinTasks(BUILTIN_TASKS, limits, 1);
    expect(Object.fromEntries(tasks.map(({name, labels}) => [name, labels.length]))).toEqual(CLASSES);
    for (const task of tasks) {
      expect([task.train.length, task.validation.length, task.test.length]).toEqual([200, 60, 80]);
      const all = [...task.train, ...task.validation, ...task.test];
      expect(new Set(all.map(({text}) => text)).size).toBe(340);
      expect(all.every(({text}) => text.length > 1 && !/\s\s|\n/.test(text))).toBe(true);
    }
  });

  it('says which tasks there are', () => {
    expect(() => loadBuiltinTasks(['poetry'], limits, 1)).toThrow(
      /no task "poetry"; choose from supersense, pos/,
    );
    expect(() => loadBuiltinTasks(['pos', 'pos'], limits, 1)).toThrow(/"pos" is given twice/);
  });
});

describe('mailText', () => {
  it('is the unfolded subject and the start of the body without markup', () => {
    const raw = 'From: a\nSubject: Save\n\tnow\nX: y\n\n<html><b>Big</b>\n news</html>';
    expect(mailText(raw)).toBe('Save now Big news');
  });

  it('drops the scaffolding of MIME parts', () => {
    const raw =
      'Subject: s\n\nThis is a multi-part message in MIME format.\n--=_a\nContent-Type: text/plain;\n\tcharset="x"\nX-Y: z\n\nhello';
    expect(mailText(raw)).toBe('s hello');
  });
});
