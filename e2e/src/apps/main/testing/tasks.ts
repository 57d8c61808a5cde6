import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

/** Two tasks that are learnt at once, `mood` and `theme`, as files for `--tasks-dir`. */
export function writeTasks(folder: string): void {
  const makers: Record<string, [string, (i: number) => string][]> = {
    mood: [
      ['good', (i) => `what a lovely and happy day number ${i}`],
      ['bad', (i) => `a sad and terrible evening number ${i}`],
    ],
    theme: [
      ['food', (i) => `${i} loaves of bread with butter`],
      ['money', (i) => `${i} dollars on a bank account`],
      ['animal', (i) => `${i} dogs and cats in the garden`],
    ],
  };
  for (const [task, classes] of Object.entries(makers)) {
    mkdirSync(join(folder, task), {recursive: true});
    for (const [split, first, count] of [
      ['train', 0, 16],
      ['validation', 100, 4],
      ['test', 200, 6],
    ] as const) {
      const lines = classes.flatMap(([label, text]) =>
        Array.from({length: count}, (_, i) => JSON.stringify({text: text(first + i), label})),
      );
      writeFileSync(join(folder, task, `${split}.jsonl`), lines.join('\n'));
    }
  }
}
