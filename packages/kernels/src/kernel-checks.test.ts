import * as tf from '@tensorflow/tfjs-core';
import * as cpu from './backends/cpu/kernels.generated.js';
import * as wasm from './backends/wasm/kernels.generated.js';
import * as webgl from './backends/webgl/kernels.generated.js';
import * as webgpu from './backends/webgpu/kernels.generated.js';
import {ConfigError, ShapeError} from './index.js';
import {KERNEL_BACKENDS, KERNEL_NAMES, KERNELS} from './kernel-map.js';
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
    const [dy, y] = [tf.zeros([4096, 3]), tf.zeros([4, 3])];
    const step = () => tf.engine().runKernel('PeftSoftmaxGrad', {dy, y}, {scale: 1});
    expect(step).toThrow(ShapeError);
    expect(step).toThrow(
      'PeftSoftmaxGrad: y has shape [4,3], but must be [4096,3]. Its inputs are dy [4096,3], y [4,3].',
    );
  });

  it('refuse leading axes that an input does not have', () => {
    const inputs = [tf.zeros([2, 3, 4])] as unknown as tf.NamedTensorMap;
    const normalize = () =>
      tf.engine().runKernel('PeftLayerNorm', inputs, {names: ['x'], epsilon: 1e-3, leading: [3, 2]});
    expect(normalize).toThrow('PeftLayerNorm: x has shape [2,3,4], but must begin with the axes [3,2].');
  });

  it('refuse an activation or a mix that they have not', () => {
    const z = [tf.zeros([2, 3])] as unknown as tf.NamedTensorMap;
    const attrs = {names: ['z'], scale: 1, mix: 'none', activation: 'swish', saveZ: false, saveU: false};
    expect(() => tf.engine().runKernel('PeftCombine', z, attrs)).toThrow(ConfigError);
  });
});

test.each(KERNEL_BACKENDS)('%s has the kernels that the map says', (backend) => {
  const wanted = KERNEL_NAMES.filter((name) => KERNELS[name].only?.includes(backend) ?? true);
  expect(Object.keys({cpu, wasm, webgl, webgpu}[backend]).sort()).toEqual(wanted.sort());
});
