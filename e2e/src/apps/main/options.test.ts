import {parseOptions} from './options.js';

const refusal = (...argv: string[]): string => {
  try {
    parseOptions(argv);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
};

describe('parseOptions', () => {
  it('has the documented defaults', () => {
    expect(parseOptions([])).toMatchObject({
      tasks: ['supersense', 'pos', 'emoji', 'spam'],
      adapter: 'molora',
      batch: 32,
      backend: 'wasm',
      seeds: [1],
      limits: {train: 1500, validation: 300, test: 500},
      maxTokens: 32,
      out: 'out',
      given: [],
    });
  });

  it('reads flags in both spellings and knows which were given', () => {
    const options = parseOptions([
      '--tasks=pos, spam',
      '--lr',
      '1e-3',
      '--seeds',
      '1,2,3',
      '--max-train',
      '50',
      '--quiet',
    ]);
    expect(options).toMatchObject({
      tasks: ['pos', 'spam'],
      lr: 0.001,
      seeds: [1, 2, 3],
      limits: {train: 50, validation: 300},
      quiet: true,
    });
    expect(options!.given.sort()).toEqual(['limits', 'lr', 'seeds', 'tasks']);
  });

  it.each([
    [['--stepz', '3'], '--stepz: no such option'],
    [['extra'], '"extra": no such argument'],
    [['--steps'], '--steps: needs a value'],
    [['--steps', '--quiet'], '--steps: needs a value before --quiet'],
    [['--steps', '0'], '--steps: "0" is not a whole number above 0'],
    [['--experts', '1e9'], '--experts: "1e9" is not a whole number above 0 and at most 65536'],
    [
      ['--rank', '9007199254740991'],
      '--rank: "9007199254740991" is not a whole number above 0 and at most 65536',
    ],
    [['--steps', '2.5'], '--steps: "2.5" is not a whole number'],
    [['--steps', 'many'], '--steps: "many" is not'],
    [['--lr', '-1'], '--lr: "-1" is not a number above 0'],
    [['--steps', '3', '--steps', '4'], '--steps: given twice'],
    [['--quiet=yes'], '--quiet: takes no value'],
    [['--backend', 'cuda'], '--backend: no "cuda"; choose from wasm, cpu'],
    [['--model', 'bert'], '--model: no "bert"; choose from use-lite'],
    [['--seeds', '1,x'], '--seeds: "x" is not a whole number'],
    [['--seeds', '1,1'], '--seeds: a seed is given twice'],
    [['--seed', '1', '--seeds', '2'], '--seed and --seeds: give one'],
    [['--tasks', 'pos', '--tasks-dir', 'x'], '--tasks and --tasks-dir: give one'],
    [['--format', 'int5'], '--format: no "int5"; choose from int8, int4, '],
    [
      ['--adapter', 'ismoe', '--rank', '4'],
      '--rank: ismoe is a side network, which has no rank; leave it out',
    ],
    [['--adapter', 'mp-ismoe', '--router', 'softmax'], '--router: mp-ismoe is a side network'],
    [
      ['--adapter', 'mp-ismoe', '--format', 'f16'],
      '--format: mp-ismoe chooses scales by GNP-IQ, and f16 has none',
    ],
  ])('refuses %j', (argv, why) => {
    expect(refusal(...argv)).toContain(why);
  });

  it('gives nothing when help is asked for', () => {
    expect(parseOptions(['--help'])).toBeUndefined();
  });
});
