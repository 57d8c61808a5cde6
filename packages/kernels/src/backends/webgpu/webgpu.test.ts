import {dawnMissing} from '@tfjs-peft/testing/install-dawn';

import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {deviation} from '@tfjs-peft/testing/compare';
import {watchGpu} from '@tfjs-peft/testing/dawn';
import {randomNumbers, randomValues} from '@tfjs-peft/testing/numbers';
import {
  combine,
  disposePacked,
  layerNorm,
  matMul,
  packedBytes,
  packedMatMul,
  packMatrix,
} from '../../index.js';
import {columnSum} from '../../ops/matmul.js';
import {matMulReference, matrix} from '../../reference/matrix.js';
import {adamDeviation, adamKernels, adamSwitchDeviation} from '../../testing/adam-cases.js';
import {combineCases, headCases} from '../../testing/combine-cases.js';
import {combineSuite} from '../../testing/combine-suite.js';
import {deviationFromCpu, GRADIENT_CASES} from '../../testing/gradient-cases.js';
import {misfits} from '../../testing/kernel-cases.js';
import {inexact, PACKED_CASES, packedDeviation, unpackDeviation} from '../../testing/packed-cases.js';
import {scalesOff} from '../../testing/scale-cases.js';
import {SMALL_OPS, smallOpDeviation} from '../../testing/small-ops.js';
import '../../gradients.js';
import '../../webgpu.js';
import {limits} from './program.js';

if (dawnMissing !== undefined) {
  test.skip(`webgpu in Node: ${dawnMissing}`, () => {});
} else {
  describe('webgpu through Dawn', () => {
    let errors: string[];

    beforeAll(async () => {
      await tf.setBackend('webgpu');
      await tf.ready();
      errors = watchGpu();
    });

    afterEach(() => {
      expect(errors.splice(0)).toEqual([]);
    });

    combineSuite(
      [...combineCases(144).filter((_, i) => i % 9 === 3 || i === 18 || i === 96), ...headCases()],
      {forward: 1e-4, gradient: 1e-3},
    );

    test.each(GRADIENT_CASES.map(([name], i) => ({name, i})))('gradient of $name', async ({i}) => {
      expect(await deviationFromCpu(i, 'webgpu')).toBeLessThan(1e-4);
    });

    test('Adam is right, and one kernel a variable', async () => {
      expect(await adamDeviation()).toBeLessThan(1e-5);
      expect(await adamSwitchDeviation()).toBeLessThan(1e-5);
      expect((await adamKernels()).filter((name) => name !== 'Identity')).toEqual(['PeftAdam']);
    });

    test('a scale is the float32 that it is', async () => {
      expect(await scalesOff()).toEqual([]);
    });

    describe('over two dimensions of workgroups', () => {
      const {workgroups} = limits;
      beforeAll(() => {
        limits.workgroups = 1;
      });
      afterAll(() => {
        limits.workgroups = workgroups;
      });

      test('a site, a product and batches of it are right to the last row', async () => {
        const x = tf.ones([70, 3]) as tf.Tensor2D;
        const site = tf.tidy(() => combine({z: x, h: x, b: tf.fill([3, 3], 2)}));
        expect(new Set(await site.data())).toEqual(new Set([7]));
        const product = tf.tidy(() => matMul(tf.ones([5, 70, 2]), tf.fill([2, 40], 2)));
        expect(new Set(await product.data())).toEqual(new Set([4]));
        tf.dispose([x, site, product]);
      });

      test('the sum of columns and a layer norm', async () => {
        const sums = tf.tidy(() => columnSum(tf.ones([3, 70])));
        expect(new Set(await sums.data())).toEqual(new Set([3]));
        const normal = tf.tidy(() =>
          layerNorm(tf.tile(tf.tensor2d([[-1, 1]]), [7, 1]), undefined, undefined, 0),
        );
        expect([...(await normal.data())]).toEqual(new Array(7).fill([-1, 1]).flat());
        tf.dispose([sums, normal]);
      });
    });

    test('kernels refuse every input whose shape or dtype does not fit', () => {
      expect(misfits().wrong).toEqual([]);
    }, 120_000);

    test.each(SMALL_OPS)('%s', async (op) => {
      for (const off of await smallOpDeviation(op)) expect(off).toBeLessThan(1e-4);
    });

    test.each(PACKED_CASES)('packed matrices: $name', async (c) => {
      expect(await packedDeviation(c)).toBeLessThan(1e-4);
      expect(await unpackDeviation(c)).toBeLessThan(1e-6);
    });

    test('packed matrices are unpacked to the bit', async () => {
      expect(await inexact()).toEqual([]);
    });

    test('a matrix of 4 bits in groups of 32 takes at most 0.17 of its float32 bytes', async () => {
      const bytes = (): number => (tf.memory() as tf.MemoryInfo & {numBytesInGPU: number}).numBytesInGPU;
      const [rows, columns] = [256, 96];
      const x = tf.ones([3, rows]);
      await tf.abs(x).data();
      const start = bytes();
      const scale = new Float32Array((rows / 32) * columns).fill(0.5);
      const codes = new Uint8Array(rows * columns).fill(9);
      const packed = packMatrix(codes, {shape: [rows, columns], bits: 4, group: 32, zero: 8, scale});
      expect(packed.wordBits).toBe(32);
      const y = packedMatMul(x, packed);
      expect(new Set(await y.data())).toEqual(new Set([rows / 2]));
      tf.dispose(y);
      expect(bytes() - start).toBe(packedBytes(packed));
      expect(packedBytes(packed)).toBeLessThan(0.17 * 4 * rows * columns);
      disposePacked(packed);
      tf.dispose(x);
    });

    test.each([
      [1, 1, 1],
      [33, 5, 17],
      [5, 130, 65],
    ])('matMul [%d,%d] over %d in every transposition, batched', async (m, n, k) => {
      const random = randomNumbers(m);
      const values = (count: number): Float32Array => Float32Array.from(randomValues(random, count));
      for (const ta of [false, true]) {
        for (const tb of [false, true]) {
          const [a, b] = [values(2 * m * k), values(2 * k * n)];
          const shapeA: [number, number] = ta ? [k, m] : [m, k];
          const shapeB: [number, number] = tb ? [n, k] : [k, n];
          const got = await matMul(
            tf.tensor3d(a, [2, ...shapeA]),
            tf.tensor3d(b, [2, ...shapeB]),
            ta,
            tb,
          ).data();
          for (const batch of [0, 1]) {
            const [left, right] = [a.subarray(batch * m * k), b.subarray(batch * k * n)];
            const want = matMulReference(
              matrix(...shapeA, left.subarray(0, m * k)),
              matrix(...shapeB, right.subarray(0, k * n)),
              ta,
              tb,
            );
            expect(deviation(got.subarray(batch * m * n, (batch + 1) * m * n), want.data)).toBeLessThan(1e-5);
          }
        }
      }
    });
  });
}
