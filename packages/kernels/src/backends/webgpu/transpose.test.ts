import {dawnMissing} from '@tfjs-peft/testing/install-dawn';

import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {watchGpu} from '@tfjs-peft/testing/dawn';
import {register, unregister} from '../../webgpu.js';

/** No float32 holds it. */
const ODD = 2 ** 24 + 1;

if (dawnMissing !== undefined) {
  test.skip(`Transpose on webgpu: ${dawnMissing}`, () => {});
} else {
  describe('Transpose on webgpu', () => {
    let errors: string[];

    beforeAll(async () => {
      register();
      await tf.setBackend('webgpu');
      await tf.ready();
      errors = watchGpu();
    });
    afterAll(unregister);

    const CASES: [number[], number[]][] = [
      [
        [3, 5],
        [1, 0],
      ],
      [
        [2, 3, 4],
        [0, 2, 1],
      ],
      [
        [2, 3, 4],
        [2, 0, 1],
      ],
      [
        [2, 1, 3, 5],
        [3, 1, 0, 2],
      ],
      [
        [2, 3, 1, 2, 4],
        [4, 0, 3, 1, 2],
      ],
      [
        [2, 3, 1, 2, 4, 3],
        [4, 0, 5, 1, 3, 2],
      ],
      [
        [2, 0, 4],
        [2, 0, 1],
      ],
    ];

    test.each(CASES)('of integers and booleans %p by %p', async (shape, perm) => {
      const size = tf.util.sizeFromShape(shape);
      const values = Int32Array.from({length: size}, (_, i) => (i % 2 === 0 ? ODD + 2 * i : -i));
      for (const dtype of ['int32', 'bool'] as const) {
        const data = dtype === 'bool' ? Uint8Array.from(values, (value) => value & 1) : values;
        const got = tf.transpose(tf.tensor(data, shape, dtype), perm);
        const strides = tf.util.computeStrides(shape);
        const want = Array.from({length: size}, (_, at) => {
          const inner =
            shape.length === 0 ? [] : tf.util.indexToLoc(at, got.rank, tf.util.computeStrides(got.shape));
          const place = perm.reduce((sum, axis, i) => sum + inner[i]! * (strides[axis] ?? 1), 0);
          return data[place]!;
        });
        expect([...(await got.data())]).toEqual(want);
        expect([got.dtype, got.shape]).toEqual([dtype, perm.map((axis) => shape[axis]!)]);
        got.dispose();
      }
      expect(errors.splice(0)).toEqual([]);
    });

    test('is what tfjs has again when ours is taken out, and wrong', async () => {
      unregister();
      // Where a later tfjs is right, ours has no use any more.
      const wrong = tf.transpose(tf.tensor(new Int32Array(8).fill(1), [2, 2, 2], 'int32'), [0, 2, 1]);
      expect([...(await wrong.data())]).toEqual(new Array(8).fill(0));
      expect(errors.splice(0)).not.toEqual([]);
      register();
    });
  });
}
