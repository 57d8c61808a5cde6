import {useBackend} from '../../golden/backend.js';
import {graphSuite} from './graph.js';

test('what is in front of the last block takes no room on the tape', async () => {
  await useBackend('wasm');
  const rows = await graphSuite({
    backend: 'wasm',
    cases: /last-block$/,
    size: [16, 32],
    rounds: 1,
    warmup: 0,
  });
  const ratios = rows.filter(({metric}) => metric === 'peak-bytes').map(({ratio}) => ratio);
  expect(ratios).toHaveLength(1);
  expect(ratios[0]).toBeLessThan(0.5);
}, 120000);
