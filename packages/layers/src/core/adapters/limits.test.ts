import * as tf from '@tensorflow/tfjs';
import '@tfjs-peft/kernels/cpu';
import {type AdapterConfig, PeftDense} from '../../index.js';
import {normal} from '../../testing/sites.js';

beforeAll(() => tf.setBackend('cpu'));

const UNITS = 6;
const x = normal([2, 4, 5], 1);

/** A site with an adapter whose weights depend on their names alone, save those that are given. */
function site(config: AdapterConfig, given: Record<string, tf.Tensor> = {}) {
  const layer = new PeftDense({units: UNITS, kernelInitializer: tf.initializers.glorotNormal({seed: 1})});
  layer.addAdapter('default', config, 1);
  layer.activate('default');
  layer.build([null, 5]);
  const weights = layer.adapterWeights('default');
  for (const [name, variable] of weights) {
    variable.write(given[name] ?? normal(variable.shape as number[], name.length));
  }
  const read = (name: string) => weights.get(name)!.read();
  return {
    read,
    output: () => layer.call(x, {}) as tf.Tensor,
    base() {
      layer.activate(null);
      const z = layer.call(x, {}) as tf.Tensor;
      layer.activate('default');
      return z;
    },
  };
}

function expectSame(got: tf.Tensor, want: tf.Tensor): void {
  expect(got.shape).toEqual(want.shape);
  const size = Math.max(1, tf.max(tf.abs(want)).dataSync()[0]!);
  expect(tf.max(tf.abs(tf.sub(got, want))).dataSync()[0]).toBeLessThan(1e-5 * size);
}

describe('one expert', () => {
  it('of MoLoRA is LoRA', () => {
    const molora = site({type: 'molora', experts: 1, rank: 2, alpha: 3});
    const [A, B] = [molora.read('lora_A'), molora.read('lora_B')];
    expectSame(molora.output(), site({type: 'lora', rank: 2, alpha: 3}, {lora_A: A, lora_B: B}).output());
  });

  it('of MoV is (IA)³', () => {
    const mov = site({type: 'mov', experts: 1});
    expectSame(mov.output(), site({type: 'ia3'}, {scaling: tf.reshape(mov.read('scaling'), [-1])}).output());
  });

  it.each(['lora', 'lora-fa'] as const)('of LiME is %s, modulated: z + d ∘ (p + γ p_s)', (type) => {
    const lime = site({type: 'lime', experts: 1, over: {type, rank: 2}});
    const given = {lora_A: lime.read('lora_A'), lora_B: lime.read('lora_B')};
    const plain = site({type, rank: 2}, given);
    const delta = tf.sub(plain.output(), plain.base());
    const shared = tf.mul(lime.read('shared_modulator'), lime.read('gamma'));
    const factor = tf.add(tf.reshape(lime.read('modulators'), [-1]), shared);
    expectSame(lime.output(), tf.add(lime.base(), tf.mul(delta, factor)));
  });

  it('of MoR1E is one rank-one map, half of it', () => {
    const half = {omega: tf.zeros([1]), gate: tf.zeros([1])};
    const mor1e = site({type: 'mor1e', r1: 1, r2: 1, intuition: false}, half);
    const given = {lora_A: mor1e.read('lora_A'), lora_B: mor1e.read('lora_B')};
    const lora = site({type: 'lora', rank: 1, alpha: 1}, given);
    // ω and the output gate are a half each, the only expert's softmax 1.
    expectSame(mor1e.output(), tf.add(lora.base(), tf.mul(tf.sub(lora.output(), lora.base()), 0.25)));
  });
});

describe('uniform gates', () => {
  const router = {router: tf.zeros([5, 3])};

  it('of MoLoRA are LoRA of the experts side by side, a third each', () => {
    const molora = site({type: 'molora', experts: 3, rank: 2, alpha: 2}, router);
    const given = {lora_A: molora.read('lora_A'), lora_B: molora.read('lora_B')};
    expectSame(molora.output(), site({type: 'lora', rank: 6, alpha: 2}, given).output());
  });

  it('of MoV scale by the mean vector', () => {
    const mov = site({type: 'mov', experts: 3}, router);
    expectSame(mov.output(), site({type: 'ia3'}, {scaling: tf.mean(mov.read('scaling'), 0)}).output());
  });

  it('of LiME, which a temperature without bound gives, modulate by the mean vector', () => {
    const router = {type: 'zero', temperature: 1e6, theta: 0.5} as const;
    const config = {type: 'lime', experts: 3, over: {type: 'lora', rank: 2}} as const;
    const lime = site({...config, router});
    const one = tf.mean(lime.read('modulators'), 0, true);
    const rest = ['lora_A', 'lora_B', 'shared_modulator', 'gamma'].map((name) => [name, lime.read(name)]);
    const mean = site({...config, experts: 1}, {...Object.fromEntries(rest), modulators: one});
    expectSame(lime.output(), mean.output());
  });
});

describe('theta', () => {
  const over = (router: object) =>
    site({
      type: 'lime',
      experts: 4,
      over: {type: 'lora', rank: 2},
      router: {type: 'zero', ...router},
    } as never);

  it('going to 0 keeps all experts', () => {
    expectSame(over({theta: 0}).output(), over({selection: 'all'}).output());
    expectSame(over({theta: 1e-12}).output(), over({theta: 0}).output());
  });

  it('of 1 keeps the most probable alone', () => {
    expectSame(over({theta: 1}).output(), over({selection: 'top-k', topK: 1}).output());
  });
});
