import '@tensorflow/tfjs';
import type * as Core from '@tensorflow/tfjs-core';
import type * as Kernels from '../index.js';

test('a second copy of tfjs-core is refused by name', () => {
  jest.isolateModules(() => {
    const tf = require('@tensorflow/tfjs-core') as typeof Core;
    const {BackendError, matMul} = require('../index.js') as typeof Kernels;
    const call = () => matMul(tf.zeros([2, 2]), tf.zeros([2, 2]));
    expect(call).toThrow(BackendError);
    expect(call).toThrow(/Two copies of @tensorflow\/tfjs-core/);
  });
});
