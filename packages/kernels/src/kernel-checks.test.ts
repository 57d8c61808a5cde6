import * as tf from '@tensorflow/tfjs-core';
import {ConfigError, ShapeError} from './index.js';
import {ADAM, COMBINE, LAYER_NORM} from './kernel-names.js';
import {TEST_BACKENDS, useBackend} from './testing/backends.js';
import {misfits} from './testing/kernel-cases.js';
import {scalesOff} from './testing/scale-cases.js';

describe.each(TEST_BACKENDS)('kernels on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('refuse every input whose shape or dtype does not fit, and leave all else as it was', () => {
    const guards = Array.from({length: 50}, (_, i) => tf.fill([i + 1], i));
    const before = tf.memory().numTensors;
    const {wrong, calls} = misfits();
    expect(wrong).toEqual([]);
    expect(calls).toBeGreaterThan(400);
    expect(tf.memory().numTensors).toBe(before);
    guards.forEach((guard, i) => {
      expect(new Set(guard.dataSync())).toEqual(new Set([i]));
    });
    tf.dispose(guards);
  });

  it('take a scale as the float32 that it is', async () => {
    expect(await scalesOff()).toEqual([]);
  });

  it('say which input it is, and what it has to be', () => {
    const [value, m] = [tf.zeros([4096]), tf.zeros([4])];
    const attrs = {
      learningRate: 1,
      beta1: 0.9,
      beta2: 0.9,
      epsilon: 1e-7,
      correction1: 0.1,
      correction2: 0.1,
    };
    const step = () => tf.engine().runKernel(ADAM, {value, m, v: m, gradient: value}, attrs);
    expect(step).toThrow(ShapeError);
    expect(step).toThrow(
      'PeftAdam: m has shape [4], but must be [4096]. Its inputs are value [4096], m [4], v [4], gradient [4096].',
    );
  });

  it('refuse leading axes that an input does not have', () => {
    const inputs = [tf.zeros([2, 3, 4])] as unknown as tf.NamedTensorMap;
    const normalize = () =>
      tf.engine().runKernel(LAYER_NORM, inputs, {names: ['x'], epsilon: 1e-3, leading: [3, 2]});
    expect(normalize).toThrow('PeftLayerNorm: x has shape [2,3,4], but must begin with the axes [3,2].');
  });

  it('refuse an activation or a mix that they have not', () => {
    const z = [tf.zeros([2, 3])] as unknown as tf.NamedTensorMap;
    const attrs = {names: ['z'], scale: 1, mix: 'none', activation: 'swish', saveZ: false, saveU: false};
    expect(() => tf.engine().runKernel(COMBINE, z, attrs)).toThrow(ConfigError);
  });
});
