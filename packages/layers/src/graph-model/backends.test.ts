import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/wasm-training';
import * as tf from '@tensorflow/tfjs';
import {type AdapterConfig, upgrade} from '../graph.js';
import type {GraphBuilder} from './testing/builder.js';
import {DIALECTS, X_SHAPE} from './testing/graphs.js';
import {NODES} from './testing/nodes.js';
import {close, fill} from './testing/run.js';

/** Output and gradients of a graph with an adapter, one after the other. */
async function step(
  build: () => GraphBuilder,
  adapter: AdapterConfig,
  x: tf.Tensor,
  targets: string[],
): Promise<Float32Array[]> {
  const model = await build().load();
  const peft = await upgrade(model, {adapter, ...(targets.length > 0 && {targets})});
  fill(peft);
  const y = model.predict(x) as tf.Tensor;
  const {grads} = tf.variableGrads(
    () => tf.sum(tf.square(model.predict(x) as tf.Tensor)) as tf.Scalar,
    peft.trainableVariables(),
  );
  const values = [y, ...peft.trainableVariables().map(({name}) => grads[name]!)].map(
    (t) => t.dataSync() as Float32Array,
  );
  peft.detach();
  model.dispose();
  return values;
}

const LORA: AdapterConfig = {type: 'lora', rank: 2};
const cases: [string, () => GraphBuilder, () => tf.Tensor, AdapterConfig, string[]][] = [
  ...Object.entries(DIALECTS).map(([name, build]): (typeof cases)[number] => [
    name,
    build,
    () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 3),
    {type: 'molora', experts: 2, rank: 2},
    [],
  ]),
  ...Object.entries(NODES).map(([name, {build, x, change}]): (typeof cases)[number] => [
    name,
    build,
    x,
    change ? LORA : {type: 'ia3'},
    ['site'],
  ]),
];

test.each(cases)(
  '%s: outputs and gradients are the same on cpu and wasm',
  async (_, build, x, adapter, targets) => {
    await tf.setBackend('cpu');
    const want = await step(build, adapter, x(), targets);
    await tf.setBackend('wasm');
    const got = await step(build, adapter, x(), targets);
    expect(got.length).toBe(want.length);
    got.forEach((values, i) => {
      const size = Math.max(1, ...want[i]!.map(Math.abs));
      close(values, want[i]!, 2e-5 * size);
    });
  },
);
