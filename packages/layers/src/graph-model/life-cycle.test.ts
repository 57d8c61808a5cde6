import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {inspect, loadPeft, type Peft, upgrade} from '../graph.js';
import {exportPlain} from '../merge.js';
import {GraphBuilder} from './testing/builder.js';
import {DIALECTS, X_SHAPE} from './testing/graphs.js';
import {close, fill, memory, run} from './testing/run.js';

const input = (seed = 7) => tf.randomUniform(X_SHAPE, -1, 1, 'float32', seed);
const fused = () => DIALECTS.fused!().load();

function step(peft: Peft<GraphModel>, optimizer: tf.Optimizer, x: tf.Tensor, target: tf.Tensor): number {
  const loss = optimizer.minimize(
    () => tf.losses.meanSquaredError(target, peft.model.predict(x) as tf.Tensor),
    true,
    peft.trainableVariables(),
  )!;
  const value = loss.dataSync()[0]!;
  loss.dispose();
  return value;
}

test('two upgraded models and a stock one, interleaved, do not disturb each other', async () => {
  const [first, second, stock] = [await fused(), await fused(), await fused()];
  const x = input();
  const alone: Float32Array[] = [];
  const configs = [{type: 'lora', rank: 2} as const, {type: 'mov', experts: 3} as const];
  for (const adapter of configs) {
    const model = await fused();
    const peft = await upgrade(model, {adapter, seed: 1});
    fill(peft);
    alone.push(await run(model, x));
  }
  const plain = await run(stock, x);
  const one = await upgrade(first, {adapter: configs[0]!, seed: 1});
  const two = await upgrade(second, {adapter: configs[1]!, seed: 1});
  fill(one);
  fill(two);
  for (let i = 0; i < 3; i++) {
    expect(await run(first, x)).toEqual(alone[0]);
    expect(await run(stock, x)).toEqual(plain);
    expect(await run(second, x)).toEqual(alone[1]);
  }
  one.detach();
  expect(await run(first, x)).toEqual(plain);
  expect(await run(second, x)).toEqual(alone[1]);
  await Promise.all([
    (async () => expect(await ((await second.executeAsync(x)) as tf.Tensor).data()).toEqual(alone[1]))(),
    (async () => expect(await ((await stock.executeAsync(x)) as tf.Tensor).data()).toEqual(plain))(),
  ]);
});

test.each(['tensordot', 'einsum'])(
  'a hundred steps in the dialect %s learn and leak nothing',
  async (dialect) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}, seed: 1});
    const [x, target] = [input(), tf.zeros([X_SHAPE[0]!, X_SHAPE[1]!, 5])];
    const optimizer = tf.train.adam(0.02);
    const first = step(peft, optimizer, x, target);
    const before = tf.memory().numTensors;
    let last = first;
    for (let i = 0; i < 100; i++) last = step(peft, optimizer, x, target);
    expect(tf.memory().numTensors).toBe(before);
    expect(last).toBeLessThan(0.5 * first);
    const stock = await DIALECTS[dialect]!().load();
    peft.disable();
    expect(await run(model, x)).toEqual(await run(stock, x));
  },
);

test('cycles of upgrade and detach leak nothing', async () => {
  const model = await DIALECTS.tensordot!().load();
  const cycle = async () => {
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
    await upgrade(model, {adapter: {type: 'ia3'}, name: 'second'});
    await run(model, input());
    peft.detach();
  };
  await cycle();
  const x = tf.memory().numTensors;
  for (let i = 0; i < 3; i++) await cycle();
  // The inputs are the test's own.
  expect(tf.memory().numTensors - x).toBe(3);
});

test('a second adapter is stored beside the first, at sites of its own', async () => {
  const model = await fused();
  const x = input();
  const plain = await run(model, x);
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: ['first']});
  fill(peft);
  const first = await run(model, x);
  await upgrade(model, {adapter: {type: 'ia3'}, targets: ['second/BiasAdd'], name: 'second'});
  close(await run(model, x), plain);
  expect(peft.names).toEqual(['default', 'second']);
  expect(peft.trainableVariables().map(({shape}) => shape)).toEqual([[5]]);
  peft.enable('default');
  expect(await run(model, x)).toEqual(first);
  const frozen = peft.trainableVariables().map(({trainable}) => trainable);
  expect(frozen).toEqual([true, true]);
});

test('usage is tracked and context set as for a LayersModel', async () => {
  const model = await fused();
  const peft = await upgrade(model, {adapter: {type: 'molora', experts: 3, rank: 2}});
  peft.trackUsage();
  await run(model, input());
  const usage = await peft.usage();
  expect(usage.map(({site, tokens}) => [site, tokens])).toEqual([
    ['first/Relu', 6],
    ['second/BiasAdd', 6],
  ]);
});

test.each(['uint8', 'float16'] as const)('weights that are stored as %s', async (dtype) => {
  const build = () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 4]);
    graph.quantized('w', [4, 5], dtype);
    return graph.output(graph.node('MatMul', 'site', ['x', 'w'])).load();
  };
  const model = await build();
  expect(inspect(model).sites[0]).toMatchObject({dtype, weightShape: [4, 5]});
  const x = tf.randomUniform([3, 4], -1, 1, 'float32', 7);
  const plain = await run(model, x);
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
  close(await run(model, x), plain);
  fill(peft);
  const adapted = await run(model, x);
  const [merged, saved] = [memory(), memory()];
  await exportPlain(peft, merged);
  expect((await merged.load()).weightSpecs![0]).toEqual({name: 'w', shape: [4, 5], dtype: 'float32'});
  close(await run(await loadGraphModel(merged), x), adapted);
  await peft.saveModel(saved);
  expect((await saved.load()).weightSpecs![0]!.quantization?.dtype).toBe(dtype);
  close(await run(await loadGraphModel(saved), x), adapted);
});

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'graph-'));
  afterAll(() => rmSync(folder, {recursive: true}));

  test('an adapter is saved and loaded into another copy of the model', async () => {
    const model = await DIALECTS.tensordot!().load();
    const peft = await upgrade(model, {adapter: {type: 'molora', experts: 2, rank: 2}});
    fill(peft);
    await peft.save(join(folder, 'own'));
    const other = await DIALECTS.tensordot!().load();
    await loadPeft(other, join(folder, 'own'));
    expect(await run(other, input())).toEqual(await run(model, input()));
  });

  test('an adapter of a LayersModel is loaded by saying how its sites are called', async () => {
    const layers = tfl.sequential({
      layers: [
        tfl.layers.dense({name: 'hidden', units: 6, inputShape: [4]}),
        tfl.layers.dense({name: 'out', units: 5}),
      ],
    });
    const trained = await upgrade(layers, {adapter: {type: 'lora', rank: 2}});
    fill(trained as never);
    const place = join(folder, 'layers');
    await trained.save(place);
    const model = await fused();
    await expect(loadPeft(model, place)).rejects.toThrow(
      /node 'hidden' is missing in the model; node 'out' is missing.*rename/,
    );
    const rename = {hidden: 'first/Relu', out: 'second/BiasAdd'};
    await expect(loadPeft(model, place, {rename})).rejects.toThrow(/other base weights/);
    await expect(loadPeft(model, place, {rename: {hiden: 'first/Relu'}})).rejects.toThrow(
      /rename names 'hiden'.*'hidden', 'out'/,
    );
    await expect(
      loadPeft(model, place, {rename: {hidden: 'second/BiasAdd', out: 'second/BiasAdd'}}),
    ).rejects.toThrow(/both 'hidden' and 'out' to 'second\/BiasAdd'/);
    await expect(
      loadPeft(model, place, {rename: {hidden: 'second/BiasAdd', out: 'first/Relu'}, ignoreBase: true}),
    ).rejects.toThrow(/node 'second\/BiasAdd' is \[6,5\] in the model, but \[4,6\]/);
    const peft = await loadPeft(model, place, {rename, ignoreBase: true});
    const values = (variables: tf.Variable[]) => variables.map((variable) => [...variable.dataSync()]);
    expect(values(peft.trainableVariables())).toEqual(values(trained.trainableVariables()));
  });

  test('a base with other values is refused', async () => {
    const model = await fused();
    const peft = await upgrade(model, {adapter: {type: 'ia3'}});
    await peft.save(join(folder, 'base'));
    const other = await fused();
    const {weightMap} = (other as unknown as {executor: {weightMap: Record<string, tf.Tensor[]>}}).executor;
    weightMap['first/b'] = [tf.add(weightMap['first/b']![0]!, 1)];
    const before = await run(other, input());
    await expect(loadPeft(other, join(folder, 'base'))).rejects.toThrow(/'first\/b' has other values/);
    expect(await run(other, input())).toEqual(before);
  });
});

test('a model that is dropped without being detached is collected', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const dropped = await (async () => {
    const model = await fused();
    await upgrade(model, {adapter: {type: 'lora', rank: 2}});
    await run(model, input());
    return new WeakRef(model);
  })();
  for (let i = 0; i < 20 && dropped.deref() !== undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  expect(dropped.deref() === undefined).toBe(true);
});
