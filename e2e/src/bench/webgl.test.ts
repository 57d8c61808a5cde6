import {chromiumMissing} from '../chromium/open.js';
import {runInChromium} from './chromium.js';
import type {Row} from './report.js';

jest.setTimeout(300_000);

if (chromiumMissing !== undefined) {
  test.skip(`bench on webgl: ${chromiumMissing}`, () => {});
} else {
  test('bench on webgl, in Chromium: rows arrive as they are measured, launches and bytes among them', async () => {
    const seen: Row[] = [];
    const {rows, gpu} = await runInChromium('layer', {
      backend: 'webgl',
      cases: /^lora/,
      size: [8, 16],
      rounds: 1,
      warmup: 1,
      onRow: (row) => seen.push(row),
    });
    expect(seen).toEqual(rows);
    expect(gpu).toEqual(expect.any(String));
    const launches = rows.find(({metric}) => metric === 'launches');
    expect(launches).toMatchObject({case: 'lora-r8', unit: 'calls'});
    expect(launches!.ours).toBeGreaterThan(0);
    expect(launches!.ours).toBeLessThan(launches!.baseline);
    expect(rows.find(({metric}) => metric === 'peak-bytes')!.ours).toBeGreaterThan(0);
  });
}
