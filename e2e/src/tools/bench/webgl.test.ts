import {chromiumMissing} from '@tfjs-peft/testing/chromium';
import {runInChromium} from './chromium.js';
import type {Row} from './report.js';

jest.setTimeout(300_000);

if (chromiumMissing !== undefined) {
  test.skip(`bench on webgl: ${chromiumMissing}`, () => {});
} else {
  test('on webgl, in Chromium, a step is at most half the launches of stock ops, and no more bytes', async () => {
    const seen: Row[] = [];
    const {rows, gpu} = await runInChromium('layer', {
      backend: 'webgl',
      cases: /^(lora|ia3|molora-8x4|mov|mor1e|lime)/,
      size: [64, 128],
      rounds: 1,
      warmup: 0,
      onRow: (row) => seen.push(row),
    });
    expect(seen).toEqual(rows);
    expect(gpu).toEqual(expect.any(String));
    const ratios = (metric: string) =>
      Object.fromEntries(rows.filter((row) => row.metric === metric).map((row) => [row.case, row.ratio]));
    expect(Object.keys(ratios('launches'))).toHaveLength(6);
    for (const [name, ratio] of Object.entries(ratios('launches'))) {
      expect({name, ratio: Math.max(ratio, 0.5)}).toEqual({name, ratio: 0.5});
    }
    for (const [name, ratio] of Object.entries(ratios('peak-bytes'))) {
      expect({name, ratio: Math.max(ratio, 1)}).toEqual({name, ratio: 1});
    }
  });
}
