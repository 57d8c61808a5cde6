import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import '../../wasm.js';
import {combine} from '../../index.js';
import {activationReference, erf} from '../../reference/activations.js';
import {ACTIVATIONS, type Activation, gradientFrom} from '../../types.js';

beforeAll(async () => {
  await tf.setBackend('wasm');
});

/**
 * Dense near 0, and far out to where float32 saturates; an odd count, so that the last lanes are partly
 * filled.
 */
const INPUTS = Float32Array.from({length: 4003}, (_, i) => {
  const t = (i - 2001) / 2001;
  return i % 2 === 0 ? 12 * t : 100 * t ** 3;
});

function activated(activation: Activation, values: Float32Array): Float32Array {
  return tf.tidy(
    () => combine({z: tf.tensor2d(values, [1, values.length]), activation}).dataSync() as Float32Array,
  );
}

describe.each(ACTIVATIONS)('%s on wasm', (activation) => {
  test('agrees with float64', () => {
    const got = activated(activation, INPUTS);
    const errors = Array.from(INPUTS, (x, i) => {
      const want = activationReference[activation](x);
      return Math.abs(got[i]! - want) / Math.max(1, Math.abs(x));
    });
    expect(Math.max(...errors)).toBeLessThanOrEqual(3e-7);
  });

  test('its derivative agrees with finite differences of float64', () => {
    const f = activationReference[activation];
    const kinks = activation === 'relu6' ? [0, 6] : ['relu', 'elu'].includes(activation) ? [0] : [];
    const inputs = INPUTS.filter((x) => kinks.every((kink) => Math.abs(x - kink) > 1e-3));
    const ref = gradientFrom(activation) === 'output' ? inputs.map((x) => f(x)) : inputs;
    const dy = inputs.map((_, i) => 1 + (i % 3));
    const shape: [number, number] = [1, inputs.length];
    const got = tf.tidy(() =>
      (
        tf
          .engine()
          .runKernel(
            'PeftActivationGrad',
            {dy: tf.tensor2d(dy, shape), ref: tf.tensor2d(ref, shape)},
            {activation},
          ) as tf.Tensor
      ).dataSync(),
    );
    const h = 1e-5;
    const errors = Array.from(inputs, (x, i) => {
      const want = ((f(x + h) - f(x - h)) / (2 * h)) * dy[i]!;
      return Math.abs(got[i]! - want) / dy[i]!;
    });
    expect(Math.max(...errors)).toBeLessThan(2e-6);
  });

  test('passes NaN on', () => {
    expect(activated(activation, Float32Array.of(1, Number.NaN, -1))[1]).toBeNaN();
  });
});

test('small arguments keep their relative precision where the function is odd, or expm1', () => {
  const tiny = Float32Array.of(1e-6, -1e-6, 1e-4, -1e-4, 1e-2, -1e-2, 0.3, -0.3);
  for (const activation of ['tanh', 'elu'] as const) {
    const got = activated(activation, tiny);
    tiny.forEach((x, i) => {
      const want = activationReference[activation](x);
      expect(Math.abs(got[i]! / want - 1)).toBeLessThan(5e-7);
    });
  }
  const gelu = activated('gelu', tiny);
  tiny.forEach((x, i) => {
    const cumulative = 0.5 * (1 + erf(x * Math.SQRT1_2));
    expect(Math.abs(gelu[i]! / x - cumulative)).toBeLessThan(2e-7);
  });
});
