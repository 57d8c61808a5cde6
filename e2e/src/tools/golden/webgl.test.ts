import {join} from 'node:path';
import {chromiumMissing} from '@tfjs-peft/testing/chromium';
import {goldenInChromium} from './chromium.js';
import {readCases} from './format.js';

jest.setTimeout(300_000);

const DATA = join(__dirname, '../../../golden');
/** One of each way that an adapter uses the GPU; a shader takes the CPU that plays it up to a second. */
const IDS = ['lora-dense', 'mov-paper-ffn', 'molora-dense-top2', 'lime-paper-lora-fixed', 'mor1e-sira'];
const cases = ['mov-molora', 'lime-mor1e']
  .flatMap((folder) => readCases(join(DATA, folder)))
  .filter(({id}) => IDS.includes(id));

if (chromiumMissing !== undefined) {
  test.skip(`golden data on webgl: ${chromiumMissing}`, () => {});
} else {
  test('golden data on webgl, in Chromium', async () => {
    const report = await goldenInChromium('webgl', cases);
    expect(report.cases.filter(({ok}) => !ok)).toEqual([]);
    expect(report).toMatchObject({backend: 'webgl', passed: IDS.length, failed: 0});
  });
}
