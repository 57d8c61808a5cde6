import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {registerNodes} from '../register.js';
import {GRADIENT_ROWS} from '../testing/gradient-rows/index.js';
import {
  type Cell,
  measureAll,
  pageOf,
  type Stage,
  stateOf,
  type TableBackend,
} from '../testing/gradient-rows/table.js';

const PAGE = join(__dirname, '../../../../../docs/gradients.md');

const COLUMNS: [Stage, TableBackend][] = [
  ['stock', 'cpu'],
  ['stock', 'wasm'],
  ['gradients', 'cpu'],
  ['gradients', 'wasm'],
  ['wasm-training', 'wasm'],
];

const measured = new Map<string, Cell[]>();
const cellsOf = (stage: Stage, backend: TableBackend): Cell[] => measured.get(`${stage} ${backend}`)!;
const named = ({row, ...rest}: Cell): string => `${row.op}, ${row.attributes}: ${JSON.stringify(rest)}`;

/** What wasm cannot even run forwards without wasm-training. */
const isWithoutValues = (state: string, stage: Stage, backend: TableBackend): boolean =>
  backend === 'wasm' &&
  (state === 'breaks the heap' || (state === 'no forward' && stage !== 'wasm-training'));

beforeAll(async () => {
  registerNodes();
  for (const [stage, backend] of COLUMNS) {
    if (stage === 'gradients') await import('@tfjs-peft/kernels/gradients');
    if (stage === 'wasm-training') await import('@tfjs-peft/kernels/wasm-training');
    measured.set(`${stage} ${backend}`, await measureAll(stage, backend));
  }
}, 600_000);

describe.each(COLUMNS)('gradients of %s on %s, op by attribute', (stage, backend) => {
  it('are right where the pre-flight names nothing', () => {
    const silent = cellsOf(stage, backend).filter(
      ({row, measured: state, gaps}) =>
        !row.constant && gaps.length === 0 && state !== 'right' && !isWithoutValues(state, stage, backend),
    );
    expect(silent.map(named)).toEqual([]);
  });

  it('do not exist behind what is constant, and the pre-flight names it', () => {
    const silent = cellsOf(stage, backend).filter(({row, ends}) => row.constant !== ends);
    expect(silent.map(named)).toEqual([]);
  });
});

it.each([
  ['gradients', 'cpu'],
  ['wasm-training', 'wasm'],
] as const)('nothing that is right is named with %s on %s', (stage, backend) => {
  const alarms = cellsOf(stage, backend).filter(
    ({row, measured: state, gaps}) => !row.constant && state === 'right' && gaps.length > 0,
  );
  expect(alarms.map(named)).toEqual([]);
});

it('the page tells what is measured', () => {
  const states = GRADIENT_ROWS.map((row, i) => {
    const state = (stages: Stage[], backend: TableBackend) =>
      stateOf(stages.map((stage) => cellsOf(stage, backend)[i]!));
    return {
      row,
      cpu: state(['stock', 'gradients'], 'cpu'),
      wasm: state(['stock', 'gradients', 'wasm-training'], 'wasm'),
    };
  });
  const page = pageOf(states);
  if (process.env.WRITE_PAGE) writeFileSync(PAGE, page);
  expect(readFileSync(PAGE, 'utf8')).toBe(page);
});
