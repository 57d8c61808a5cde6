import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, trainer, upgrade} from '../graph.js';
import {exportPlain} from '../merge.js';
import {GraphBuilder} from './testing/builder.js';
import {DIALECTS, X_SHAPE} from './testing/graphs.js';
import {close, fill, memory} from './testing/run.js';

/** A product, a bias, an activation, and something behind. */
const GRAPHS: Record<string, {build: () => GraphBuilder; x: number[]; nodes: string[]}> = {
  'a MatMul': {
    build: () => {
      const graph = new GraphBuilder();
      graph.input('x', [-1, 4]);
      graph.weight('w', [4, 3]);
      graph.weight('b', [3]);
      graph.weight('v', [3, 2]);
      graph.node('MatMul', 'd/MatMul', ['x', 'w']);
      graph.node('BiasAdd', 'd/BiasAdd', ['d/MatMul', 'b']);
      graph.node('Relu', 'd/Relu', ['d/BiasAdd']);
      return graph.output(graph.node('MatMul', 'y', ['d/Relu', 'v']));
    },
    x: [5, 4],
    nodes: ['d/MatMul', 'd/BiasAdd', 'd/Relu', 'y'],
  },
  'a Conv2D': {
    build: () => {
      const graph = new GraphBuilder();
      graph.input('x', [-1, 4, 4, 2]);
      graph.weight('w', [3, 3, 2, 3]);
      graph.weight('b', [1, 1, 1, 3]);
      graph.node('Conv2D', 'd/Conv2D', ['x', 'w'], {
        strides: [1, 1, 1, 1],
        dilations: [1, 1, 1, 1],
        padding: 'SAME',
        data_format: 'NHWC',
      });
      graph.node('AddV2', 'd/BiasAdd', ['b', 'd/Conv2D']);
      return graph.output(graph.node('Sigmoid', 'y', ['d/BiasAdd']));
    },
    x: [2, 4, 4, 2],
    nodes: ['d/Conv2D', 'd/BiasAdd', 'y'],
  },
  'a MatMul with its bias behind a Reshape': {
    build: DIALECTS.tensordot!,
    x: X_SHAPE,
    nodes: [
      'first/Tensordot/MatMul',
      'first/Tensordot',
      'first/BiasAdd',
      'first/Relu',
      'second/Tensordot',
      'second/BiasAdd',
    ],
  },
};

const MERGED: AdapterConfig[] = [
  {type: 'lora', rank: 2},
  {type: 'dora', rank: 2},
  {type: 'ia3'},
  {type: 'ia3', position: 'before-activation'},
];
const MIXTURES: AdapterConfig[] = [
  {type: 'molora', experts: 2, rank: 2},
  {type: 'mov', experts: 2},
];

const run = (model: GraphModel, x: tf.Tensor, nodes: string[]) => [model.execute(x, nodes)].flat();

async function same(got: tf.Tensor[], want: tf.Tensor[]): Promise<void> {
  expect(got.map(({shape}) => shape)).toEqual(want.map(({shape}) => shape));
  for (const [i, tensor] of got.entries()) {
    close((await tensor.data()) as Float32Array, (await want[i]!.data()) as Float32Array);
  }
}

describe.each(Object.keys(GRAPHS))('nodes within a site, of %s', (name) => {
  const {build, x: shape, nodes} = GRAPHS[name]!;
  const x = () => tf.randomUniform(shape, -1, 1, 'float32', 7);

  it.each([...MERGED, ...MIXTURES])('give what they gave with a fresh %j, and after it', async (adapter) => {
    const model = await build().load();
    const before = run(model, x(), nodes);
    const peft = await upgrade(model, {adapter, targets: 'all-projections'});
    await same(run(model, x(), nodes), before);
    for (const [i, node] of nodes.entries()) await same(run(model, x(), [node]), [before[i]!]);
    fill(peft);
    peft.disable();
    await same(run(model, x(), nodes), before);
    peft.detach();
    await same(run(model, x(), nodes), before);
    expect(Object.hasOwn((model as unknown as {executor: object}).executor, 'execute')).toBe(false);
  });

  it.each(MERGED)('give what they give in the merged model, with %j', async (adapter) => {
    const model = await build().load();
    const peft = await upgrade(model, {adapter, targets: 'all-projections'});
    fill(peft);
    const place = memory();
    await exportPlain(peft, place);
    const merged = await loadGraphModel(place);
    // Without an activation, the scale of a site's output is worked into its product.
    const scaled = adapter.type === 'ia3' && adapter.position === undefined;
    const alike = nodes.filter((node) => !scaled || node !== 'second/Tensordot');
    const want = run(merged, x(), alike);
    const input = x();
    await same(run(model, input, alike), want);
    await same([await model.executeAsync(input, alike)].flat(), want);
    await same([model.predict(input) as tf.Tensor], [merged.predict(input) as tf.Tensor]);
    const {numTensors} = tf.memory();
    tf.dispose(run(model, input, nodes));
    tf.dispose(await model.executeAsync(input, nodes));
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(input.isDisposed).toBe(false);
  });

  const exact = MERGED.map((adapter) =>
    adapter.type === 'dora' ? {...adapter, normGradient: true} : adapter,
  );
  it.each([...exact, ...MIXTURES])('are what a trainer trains towards, with %j', async (adapter) => {
    const model = await build().load();
    const peft = await upgrade(model, {adapter, targets: 'all-projections'});
    fill(peft);
    const training = trainer(model, {outputs: nodes});
    const got = [await training.predict(x())].flat();
    await same(got, run(model, x(), nodes));
    const {grads} = await training.gradients(x(), (outputs) => {
      const parts = [outputs].flat().map((output) => tf.sum(tf.square(output)));
      return tf.addN(parts) as tf.Scalar;
    });
    const variable = peft.trainableVariables().at(0)!;
    const value = () =>
      run(model, x(), nodes).reduce((sum, output) => sum + tf.sum(tf.square(output)).dataSync()[0]!, 0);
    const direction = tf.randomUniform(variable.shape, -1, 1, 'float32', 5);
    const start = variable.clone();
    const at = (step: number) => {
      tf.tidy(() => variable.assign(tf.add(start, tf.mul(direction, step))));
      return value();
    };
    const want = (at(0.002) - at(-0.002)) / 0.004;
    variable.assign(start);
    const slope = tf.sum(tf.mul(grads[variable.name]!, direction)).dataSync()[0]!;
    expect(Math.abs(slope - want)).toBeLessThan(0.02 * Math.max(1, Math.abs(want)));
  });
});

test('a mixture’s activation is of what the node before it gives', async () => {
  const {build, x, nodes} = GRAPHS['a MatMul']!;
  const model = await build().load();
  const peft = await upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}, targets: ['d/MatMul']});
  fill(peft);
  const [product, sum, relu] = run(model, tf.randomUniform(x, -1, 1, 'float32', 7), nodes);
  const {weightMap} = (model as unknown as {executor: {weightMap: Record<string, tf.Tensor[]>}}).executor;
  await same([sum!, relu!], [tf.add(product!, weightMap.b![0]!), tf.relu(sum!)]);
  expect(tf.min(sum!).dataSync()[0]).toBeLessThan(0);
});
