import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/wasm-training';
import * as tf from '@tensorflow/tfjs';
import type {AdapterConfig} from '../../../index.js';
import {ADAPTERS as EXAMPLES, scalesOnly} from '../../../testing/adapters.js';
import {inputOf, SITE_CASES, type SiteCase, standIn} from '../../../testing/layer-sites.js';
import {disturb, normal} from '../../../testing/sites.js';

/**
 * Every adapter, but what counts as a constant in the gradient: DoRA's norm, and
 * the selection of LiME's own router.
 */
const ADAPTERS: AdapterConfig[] = [
  ...EXAMPLES.filter(({type}) => type !== 'dora' && type !== 'lime'),
  {type: 'dora', rank: 2, alpha: 2, normGradient: true},
  {
    type: 'lime',
    experts: 3,
    over: {type: 'lora', rank: 2, alpha: 2},
    router: {type: 'softmax'},
  },
  {type: 'lime', experts: 3, over: {type: 'slice', rank: 2}, form: 'code', router: {type: 'softmax'}},
];

const cells = (site: SiteCase) =>
  ADAPTERS.filter((adapter) => !site.scaling || scalesOnly(adapter)).map((adapter) => ({adapter}));

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a, (value, i) => value * b[i]!).reduce((sum, value) => sum + value, 0);
}

describe.each(['cpu', 'wasm'])('gradients on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  describe.each(SITE_CASES)('at a $name', (site) => {
    test.each(cells(site))('agree with differences, $adapter', ({adapter}) => {
      const {layer} = standIn(site, adapter);
      disturb(layer, 'default', 5, 0.2);
      const x = inputOf(site);
      const forward = () => layer.call(input, {training: true}) as tf.Tensor;
      // An Embedding's input are whole numbers, which have no derivative.
      const input = x.dtype === 'float32' ? tf.variable(x) : x;
      const cotangent = normal(forward().shape, 8);
      const weights = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
      const moving = input instanceof tf.Variable ? [input, ...weights] : weights;
      const {grads} = tf.variableGrads(() => tf.sum(tf.mul(forward(), cotangent)) as tf.Scalar, moving);
      const loss = () => dot(forward().dataSync(), cotangent.dataSync());

      for (const variable of moving) {
        const start = tf.keep(tf.clone(variable));
        const direction = normal(variable.shape, 9);
        const at = (step: number) => {
          variable.assign(tf.add(start, tf.mul(direction, step)) as tf.Tensor);
          return loss();
        };
        const slope = (step: number) => (at(step) - at(-step)) / (2 * step);
        // The scalars of MoR1E are a hundredth of a logit each. The scale of rsLoRA moves outputs eight times
        // as far, over bends of the activation.
        const small = 'useRslora' in adapter ? 2e-3 : 0.01;
        const step = /omega|gate/.test(variable.name) && adapter.type === 'mor1e' ? 2e-4 : small;
        const want = (4 * slope(step / 2) - slope(step)) / 3;
        variable.assign(start);
        const got = dot(grads[variable.name]!.dataSync(), direction.dataSync());
        const size = Math.max(1, Math.abs(want));
        // The name, for the message.
        expect([variable.name, got / size]).toEqual([variable.name, expect.closeTo(want / size, 2.3)]);
      }
    });
  });
});
