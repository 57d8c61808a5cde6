import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from '../errors.js';
import {combine} from '../index.js';
import {TEST_BACKENDS, useBackend} from '../testing/backends.js';
import {combineCases, headCases} from '../testing/combine-cases.js';
import {combineSuite} from '../testing/combine-suite.js';

describe.each(TEST_BACKENDS)('combine on %s', (backend) => {
  beforeAll(() => useBackend(backend));
  combineSuite([...combineCases(144), ...headCases()], {forward: 1e-5, gradient: 1e-4});
});

describe('combine refuses', () => {
  beforeAll(() => useBackend('cpu'));
  const x = () => tf.zeros([2, 3]);
  const kernel = () => tf.zeros([3, 4]) as tf.Tensor2D;

  test.each([
    ['no base product', () => combine({}), ConfigError, /either x and kernel, or z/],
    ['x without kernel', () => combine({x: x()}), ConfigError, /needs its kernel/],
    [
      'a kernel of another width',
      () => combine({x: x(), kernel: tf.zeros([5, 4]) as tf.Tensor2D}),
      ShapeError,
      /kernel's first axis is 5/,
    ],
    [
      'an int32 input',
      () => combine({x: tf.zeros([2, 3], 'int32'), kernel: kernel()}),
      ShapeError,
      /x is int32/,
    ],
    [
      'a bias of another size',
      () => combine({x: x(), kernel: kernel(), bias: tf.zeros([3]) as tf.Tensor1D}),
      ShapeError,
      /size of bias is 3/,
    ],
    [
      'h without b',
      () => combine({x: x(), kernel: kernel(), h: tf.zeros([2, 2])}),
      ConfigError,
      /pass both or neither/,
    ],
    [
      'gates that do not divide h',
      () =>
        combine({
          x: x(),
          kernel: kernel(),
          h: tf.zeros([2, 5]),
          b: tf.zeros([5, 4]) as tf.Tensor2D,
          gates: tf.zeros([2, 2]),
          mix: 'expert',
        }),
      ShapeError,
      /multiple of the 2 gates/,
    ],
    [
      'rows that do not fit',
      () => combine({x: x(), kernel: kernel(), h: tf.zeros([3, 2]), b: tf.zeros([2, 4]) as tf.Tensor2D}),
      ShapeError,
      /number of rows of h/,
    ],
    [
      'an unknown activation',
      () => combine({x: x(), kernel: kernel(), activation: 'cubic' as never}),
      ConfigError,
      /activation is 'cubic'.*one of: linear/,
    ],
    [
      'beta without a tail',
      () => combine({x: x(), kernel: kernel(), beta: tf.zeros([4]) as tf.Tensor1D}),
      ConfigError,
      /needs h and b/,
    ],
    [
      'heads that do not divide the columns',
      () =>
        combine({
          x: x(),
          kernel: kernel(),
          post: {gates: tf.zeros([2, 3, 2]), table: tf.zeros([2, 4]) as tf.Tensor2D, heads: 3},
        }),
      ConfigError,
      /post\.heads is 3, .* divides the 4 columns/,
    ],
    [
      'gates without the axis of the heads',
      () =>
        combine({
          x: x(),
          kernel: kernel(),
          alpha: {gates: tf.zeros([2, 4]), table: tf.zeros([2, 4]) as tf.Tensor2D, heads: 2},
        }),
      ShapeError,
      /alpha\.gates has shape \[2,4\], but with heads 2 must be \[\.\.\., 2, E\]/,
    ],
    [
      'gates by head of other rows',
      () =>
        combine({
          x: x(),
          kernel: kernel(),
          post: {gates: tf.zeros([3, 2, 5]), table: tf.zeros([5, 4]) as tf.Tensor2D, heads: 2},
        }),
      ShapeError,
      /number of rows of post\.gates \[3,2,5\] is 3/,
    ],
  ])('%s', (_, call, type, message) => {
    const before = tf.memory().numTensors;
    expect(call).toThrow(type as never);
    expect(call).toThrow(message as RegExp);
    expect(tf.memory().numTensors).toBeGreaterThanOrEqual(before);
  });
});
