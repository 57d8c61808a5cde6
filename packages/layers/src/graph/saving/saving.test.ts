import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type AdapterConfig, upgrade} from '../../index.js';
import {GraphBuilder} from '../testing/builder.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';
import {close, fill, memory, run} from '../testing/run.js';

const input = () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);

const EXACT: AdapterConfig[] = [
  {type: 'lora', rank: 2},
  {type: 'dora', rank: 2},
  {type: 'lora-fa', rank: 2},
  {type: 'ia3'},
  {type: 'ia3', position: 'before-activation'},
];

const MIXTURES: AdapterConfig[] = [
  {type: 'molora', experts: 3, rank: 2},
  {type: 'mov', experts: 3},
  {type: 'mor1e', r1: 2, r2: 3, intuition: false},
  {type: 'lime', experts: 3, over: {type: 'lora', rank: 2}},
];

describe.each(Object.keys(DIALECTS))('a graph in the dialect %s', (dialect) => {
  it.each([...EXACT, ...MIXTURES])('is saved with %j and loads again', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    fill(peft);
    const expected = await run(model, input());
    const place = memory();
    await peft.saveModel(place);
    const loaded = await loadGraphModel(place);
    const before = tf.memory().numTensors;
    expect(await run(loaded, input())).toEqual(expected);
    const x = input();
    const used = tf.memory().numTensors;
    await run(loaded, x);
    expect(tf.memory().numTensors).toBe(used);
    expect(used - before).toBeLessThanOrEqual(2);
    // The user's own save writes the base.
    const base = memory();
    await model.save(base);
    peft.disable();
    expect(await run(await loadGraphModel(base), x)).toEqual(await run(model, x));
  });

  it.each(EXACT)('is merged with %j', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    fill(peft);
    const place = memory();
    await peft.merge(place);
    const plain = await loadGraphModel(place);
    const ops = (plain as unknown as {artifacts: {modelTopology: {node: {op: string}[]}}}).artifacts
      .modelTopology.node;
    expect(ops.filter(({op}) => op.startsWith('Tfjs'))).toEqual([]);
    close(await run(plain, input()), await run(model, input()));
  });

  it.each(MIXTURES)('is not merged with %j', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    const saved = jest.fn();
    await expect(peft.merge({save: saved})).rejects.toThrow(
      /Node '.*': its .* adapter cannot be merged exactly/,
    );
    expect(saved).not.toHaveBeenCalled();
  });
});

test('a constant that two nodes share is changed only for the one that is merged', async () => {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 4]);
  graph.weight('w', [4, 4]);
  graph.node('MatMul', 'first', ['x', 'w']);
  const model = await graph.output(graph.node('MatMul', 'second', ['first', 'w'])).load();
  const x = tf.ones([2, 4]);
  for (const targets of [['first'], ['second'], ['first', 'second']]) {
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets});
    fill(peft);
    const place = memory();
    await peft.merge(place);
    close(await run(await loadGraphModel(place), x), await run(model, x));
    peft.detach();
  }
});

test('what follows an activation is merged as a product of its own, or refused where its axes are not known', async () => {
  const build = (reshaped: boolean) => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 4]);
    graph.weight('w', [4, 4]);
    graph.integers('pairs', [-1, 2, 2]);
    let last = graph.node('MatMul', 'site', ['x', 'w']);
    if (reshaped) last = graph.node('Reshape', 'reshaped', [last, 'pairs']);
    return graph.output(graph.node('Sigmoid', 'y', [last])).load();
  };
  const model = await build(false);
  const peft = await upgrade(model, {adapter: {type: 'ia3'}});
  fill(peft);
  const place = memory();
  await peft.merge(place);
  close(await run(await loadGraphModel(place), tf.ones([2, 4])), await run(model, tf.ones([2, 4])));
  const other = await upgrade(await build(true), {adapter: {type: 'ia3'}});
  await expect(other.merge(memory())).rejects.toThrow(/Node 'site' cannot be merged: .* of unknown shape/);
});

test('a record that is damaged is refused', async () => {
  const model = await DIALECTS.fused!().load();
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
  const place = memory();
  await peft.saveModel(place);
  const artifacts = await place.load();
  for (const {op, attr} of (
    artifacts.modelTopology as {node: {op: string; attr: Record<string, {s: string}>}[]}
  ).node) {
    if (op === 'TfjsPeftSite') attr.peft!.s = btoa('7b7d');
  }
  const loaded = await loadGraphModel({load: async () => artifacts});
  expect(() => loaded.predict(input())).toThrow(/another version of @tfjs-peft\/layers, or is damaged/);
});

test('a LayersModel saves itself', async () => {
  const layers = tfl.sequential({layers: [tfl.layers.dense({units: 2, inputShape: [3]})]});
  const peft = await upgrade(layers, {adapter: {type: 'lora', rank: 1}});
  await expect(peft.saveModel(memory())).rejects.toThrow(/call model\.save/);
});
