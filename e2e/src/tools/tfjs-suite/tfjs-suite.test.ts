import type {Backend} from './bundle.js';
import {runSpecs} from './host.js';
import {compare, type Outcome, table} from './outcome.js';

jest.setTimeout(300_000);

/**
 * What stock tfjs 4.22 fails on each backend: a figure that must come out again, or the
 * suite isn't what it is taken for.
 */
const STOCK_FAILURES = {cpu: 0, wasm: 334};
/** More than this must not fail on wasm with our kernels. */
const WASM_FAILURES = 214;

test.each(Object.keys(STOCK_FAILURES) as (keyof typeof STOCK_FAILURES)[])(
  "tfjs-core's own specs fail nowhere on %s with our kernels where they pass without",
  async (backend: Backend & keyof typeof STOCK_FAILURES) => {
    const stock = await runSpecs(backend, 'stock');
    const ours = await runSpecs(backend, 'ours');
    const report = compare(backend, stock, ours);
    expect(report.new).toEqual([]);
    expect(report.corrected).toHaveLength(3);
    expect(report.specs).toBeGreaterThan(4000);
    expect(report.stockFailures).toBe(STOCK_FAILURES[backend]);
    expect(report.failures).toBeLessThanOrEqual(backend === 'wasm' ? WASM_FAILURES : 0);
  },
);

describe('the comparison', () => {
  const run = (...names: string[]): Outcome => ({
    specs: 10,
    failures: names.map((name) => ({name, message: `${name} failed\n  at a line`})),
  });

  test('names each spec that fails with our kernels alone, one that is there twice included', () => {
    const report = compare('cpu', run('add a', 'add b'), run('add b', 'add b', 'sub c'));
    expect(report).toEqual({
      backend: 'cpu',
      specs: 10,
      failures: 3,
      stockFailures: 2,
      new: ['add b', 'sub c'],
      corrected: [],
    });
  });

  test('counts specs that hold tfjs to a wrong gradient apart', () => {
    const wrong = 'mirrorPad test-cpu {} grad';
    const report = compare('cpu', run('add a'), run('add a', wrong, 'mirrorPad test-cpu {} gradients'));
    expect(report).toMatchObject({failures: 2, new: ['mirrorPad test-cpu {} gradients'], corrected: [wrong]});
  });

  test('is refused where the runs are not of the same specs', () => {
    expect(() => compare('cpu', run(), {...run(), specs: 9})).toThrow(/^9 specs ran with our kernels and 10/);
    expect(() => compare('cpu', {...run(), specs: 0}, {...run(), specs: 0})).toThrow(/^0 specs/);
  });

  test('is a table by group, most failures first', () => {
    const [stock, ours] = [run('add a', 'mul c'), run('mul c', 'mul d')];
    const lines = table(compare('cpu', stock, ours), stock, ours).split('\n');
    expect(lines[1]).toMatch(/^mul +1 +2 {2}mul c failed$/);
    expect(lines[2]).toMatch(/^add +1 +0 {2}$/);
    expect(lines.slice(3)).toEqual(['new: mul d', 'cpu: 10 specs, 2 failed, 2 stock, 1 new']);
  });
});
