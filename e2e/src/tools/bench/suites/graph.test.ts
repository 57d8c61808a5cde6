import {useBackend} from '../../golden/backend.js';
import {graphSuite} from './graph.js';

/**
 * Peak bytes that a step may take, as a share of the baseline's: the rebuild's for MoLoRA everywhere, else
 * what all on the tape takes.
 */
const BOUNDS = [
  ['molora', 1.05],
  ['last-block', 0.4],
  ['last-block/same-sites', 0.5],
] as const;

beforeAll(() => useBackend('wasm'));

test.each(BOUNDS)(
  'the bytes of a step: %s',
  async (name, bound) => {
    const rows = await graphSuite({
      backend: 'wasm',
      cases: new RegExp(`/${name}$`),
      size: [16, 32],
      rounds: 1,
      warmup: 0,
    });
    const ratios = rows.filter(({metric}) => metric === 'peak-bytes').map(({ratio}) => ratio);
    expect(ratios).toHaveLength(1);
    expect(ratios[0]).toBeLessThan(bound);
  },
  120000,
);
