import * as tf from '@tensorflow/tfjs-core';
import {combine} from '../../index.js';
import {useBackend} from '../../testing/backends.js';
import {KERNEL_CASES} from '../../testing/kernel-cases.js';

beforeAll(() => useBackend('cpu'));

/** Numbers that fit the dtype, as floats. */
const numbers = (shape: number[], dtype: 'int32' | 'bool'): number[] =>
  Array.from({length: tf.util.sizeFromShape(shape)}, (_, i) => (dtype === 'bool' ? i % 2 : (i % 7) - 3));

describe.each(['int32', 'bool'] as const)('floats that were cast from %s', (dtype) => {
  it.each(
    // Codes and indices are integers, and no floats that were cast.
    KERNEL_CASES.filter(({kernel, integers}) => kernel !== 'PeftColumnSum' && integers === undefined).map(
      (c, i) => [`${c.kernel} ${i}`, c] as const,
    ),
  )('%s takes as floats', (_name, c) => {
    const run = (cast: boolean): number[][] =>
      tf.tidy(() => {
        const tensors = Object.values(c.inputs).map((shape) => {
          const values = numbers(shape, dtype);
          return cast ? tf.tensor(values, shape, dtype).cast('float32') : tf.tensor(values, shape, 'float32');
        });
        const packed = {...c.attrs, names: Object.keys(c.inputs)} as unknown as tf.NamedAttrMap;
        const outputs = tf.engine().runKernel(c.kernel, tensors as unknown as tf.NamedTensorMap, packed);
        return [outputs].flat().map((t) => {
          const values = (t as tf.Tensor).dataSync();
          expect(values).toBeInstanceOf(Float32Array);
          return Array.from(values);
        });
      });
    expect(run(true)).toEqual(run(false));
  });
});

it('a scaled output is the floats that it is', () => {
  const z = tf.tensor2d([[1, 3]], [1, 2], 'int32').cast('float32') as tf.Tensor2D;
  expect(combine({z, post: tf.tensor1d([0.5, 0.5])}).arraySync()).toEqual([[0.5, 1.5]]);
});
