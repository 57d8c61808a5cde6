import {join} from 'node:path';
import {chromiumMissing, type OpenPage, openPage} from '@tfjs-peft/testing/open-page';
import {combineCases, headCases} from '../../testing/combine-cases.js';
import {PACKED_CASES} from '../../testing/packed-cases.js';
import type {Page} from '../../testing/page.js';
import {SMALL_OPS} from '../../testing/small-ops.js';
import {SPARSE_CASES} from '../../testing/sparse-cases.js';

declare const page: Page;

/** Every case that page.ts has: the seeded ones, and those with gates by head. */
const ALL = [...combineCases(144), ...headCases()].map((_, i) => i);

/** Every kind of packed matrix. */
const PACKED = PACKED_CASES.map((_, i) => i);

/** Cases a backend: webgpu has its whole table in Node, through Dawn. */
const BACKENDS = [
  {
    name: 'webgl',
    backend: 'webgl',
    cases: ALL.filter((i) => i % 3 === 0 || i >= 144),
    packed: PACKED,
    forward: 1e-4,
    gradient: 1e-3,
  },
  {
    name: 'wasm',
    backend: 'wasm',
    cases: ALL,
    packed: PACKED,
    forward: 1e-5,
    gradient: 1e-4,
  },
  {
    name: 'wasm, threaded,',
    backend: 'wasm',
    threaded: true,
    cases: ALL,
    packed: PACKED,
    forward: 1e-5,
    gradient: 1e-4,
  },
  {name: 'webgpu', backend: 'webgpu', cases: [21, 146], packed: [1], forward: 1e-4, gradient: 1e-3},
];

if (chromiumMissing !== undefined) {
  test.skip(`webgl, wasm and webgpu in a browser: ${chromiumMissing}`, () => {});
} else {
  describe.each(BACKENDS)(
    '$name in Chromium',
    ({backend, threaded = false, cases, packed, forward, gradient}) => {
      let open: OpenPage;
      beforeAll(async () => {
        open = await openPage(join(__dirname, '../../testing/page.ts'), threaded);
        expect(await open.page.evaluate((name) => page.use(name), backend)).toBe(backend);
        if (backend !== 'wasm') return;
        expect(await open.page.evaluate(() => page.isShared())).toBe(threaded);
        expect(await open.page.evaluate(() => page.isRelaxed())).toBe(true);
      }, 120_000);
      afterAll(() => open.close());
      afterEach(() => expect(open.errors.splice(0)).toEqual([]));

      test.each(cases)('combine, case %d', async (i) => {
        const off = await open.page.evaluate((at) => page.check(at), i);
        const name = await open.page.evaluate((at) => page.name(at), i);
        expect({name, off: off.forward < forward ? 0 : off.forward}).toEqual({name, off: 0});
        expect({name, off: off.gradient < gradient ? 0 : off.gradient}).toEqual({name, off: 0});
      });

      if (backend === 'wasm') {
        test.each(SPARSE_CASES.map((_, i) => i))('top-k, case %d: sparse as dense', async (i) => {
          expect(await open.page.evaluate((at) => page.sparse(at), i)).toBeLessThan(2e-6);
        });
      }

      if (backend === 'webgl') {
        test('the supplied gradients agree with cpu', async () => {
          expect(await open.page.evaluate(() => page.gradientsOff())).toEqual({});
        });
      }

      if (backend.startsWith('webg')) {
        test('Adam is right, and one kernel a variable', async () => {
          const {off, switched, kernels} = await open.page.evaluate(() => page.adam());
          expect(off).toBeLessThan(1e-5);
          expect(switched).toBeLessThan(1e-5);
          expect(kernels.filter((name) => name !== 'Identity')).toEqual(['PeftAdam']);
        });
      }

      test('a scale is the float32 that it is', async () => {
        expect(await open.page.evaluate(() => page.scalesOff())).toEqual([]);
      });

      test('kernels refuse every input whose shape or dtype does not fit', async () => {
        expect(await open.page.evaluate(() => page.misfits())).toEqual([]);
      }, 120_000);

      test.each(SMALL_OPS)('%s', async (op) => {
        for (const off of await open.page.evaluate((name) => page.smallOp(name), op)) {
          expect(off).toBeLessThan(backend === 'wasm' ? 2e-5 : 1e-4);
        }
      });

      test.each(packed)('packed matrices, case %d', async (i) => {
        const {product, rows} = await open.page.evaluate((at) => page.packed(at), i);
        expect(product).toBeLessThan(backend === 'wasm' ? 2e-5 : 1e-4);
        expect(rows).toBeLessThan(1e-6);
      });

      test('packed matrices are unpacked to the bit', async () => {
        expect(await open.page.evaluate(() => page.inexact())).toEqual([]);
      });

      test('a matrix packed for wider words is an error, or right', async () => {
        const said = await open.page.evaluate(() => page.widerWords());
        if (backend !== 'webgl') expect(said).toBe('3');
        else expect(said).toMatch(/^BackendError: .*words of 32 bits.*keeps 24\. Pack it again/);
      });

      test('nothing leaks', async () => {
        expect(await open.page.evaluate((at) => page.leaked(at), cases[0]!)).toBe(0);
      });
    },
  );
  describe('webgl with textures of halves', () => {
    let open: OpenPage;
    beforeAll(async () => {
      open = await openPage(join(__dirname, '../../testing/page.ts'));
      expect(await open.page.evaluate(() => page.useHalves())).toBe('webgl');
    }, 120_000);
    afterAll(() => open.close());
    afterEach(() => expect(open.errors.splice(0)).toEqual([]));

    test('packed matrices have words of 11 bits', async () => {
      expect(await open.page.evaluate(() => page.wordBits())).toBe(11);
    });

    test.each(PACKED.filter((i) => i % 4 === 1))('packed matrices, case %d', async (i) => {
      const {product, rows} = await open.page.evaluate((at) => page.packed(at), i);
      expect(product).toBeLessThan(1e-2);
      expect(rows).toBeLessThan(1e-3);
    });
  });
}
