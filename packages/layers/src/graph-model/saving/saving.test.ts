import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {MODULE_TYPES} from '../../core/adapters/lime/modules.js';
import {type AdapterConfig, inspect, upgrade} from '../../graph.js';
import {exportPlain, merge, unmerge} from '../../merge.js';
import {ADAPTERS} from '../../testing/adapters.js';
import {GraphBuilder} from '../testing/builder.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';
import {close, fill, memory, run} from '../testing/run.js';

const input = () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);

/** Adapters whose gates look at the batch. */
const GATED = new Set(['molora', 'mov', 'mor1e', 'lime']);
const MIXTURES = ADAPTERS.filter(({type}) => GATED.has(type));

const EXACT: AdapterConfig[] = [
  ...ADAPTERS.filter(({type}) => !GATED.has(type)),
  {type: 'ia3', position: 'before-activation'},
];

const fixed = (...gates: number[]) => ({type: 'fixed', gates}) as const;

/** Mixtures whose gates do not look at the batch. */
const FIXED: AdapterConfig[] = [
  {type: 'molora', experts: 3, rank: 2, router: fixed(0.5, -1, 2)},
  {type: 'mov', experts: 2, router: fixed(0.3, 0.7)},
  {type: 'mov', experts: 2, position: 'before-activation', router: fixed(0.3, 0.7)},
  {type: 'mov', experts: 2, form: 'code', router: fixed(0.3, 0.7)},
  ...MODULE_TYPES.filter((type) => type !== 'prompt').map(
    (type): AdapterConfig => ({type: 'lime', experts: 2, over: {type, rank: 2}, router: fixed(0.2, 0.8)}),
  ),
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

  it.each([...EXACT, ...FIXED])('is merged with %j', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    fill(peft);
    const place = memory();
    await exportPlain(peft, place);
    const plain = await loadGraphModel(place);
    const ops = (plain as unknown as {artifacts: {modelTopology: {node: {op: string}[]}}}).artifacts
      .modelTopology.node;
    expect(ops.filter(({op}) => op.startsWith('Tfjs'))).toEqual([]);
    close(await run(plain, input()), await run(model, input()));
  });

  // A relu lies behind the first product: what scales its output is a node more, which a file alone can have.
  const behind = (adapter: AdapterConfig) =>
    (adapter.type === 'ia3' || adapter.type === 'mov') && adapter.position !== 'before-activation';

  it.each([...EXACT, ...FIXED])('is merged in place with %j, and comes back bit for bit', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    fill(peft);
    const x = input();
    const expected = await run(model, x);
    const tensors = tf.memory().numTensors;
    if (behind(adapter)) {
      await expect(merge(peft)).rejects.toThrow(
        /Node '.*' cannot be merged: .*activation.*exportPlain adds one/,
      );
    } else {
      const sites = await merge(peft);
      expect(sites).toHaveLength(2);
      close(await run(model, x), expected);
      await unmerge(peft);
    }
    expect(tf.memory().numTensors).toBe(tensors);
    expect(await run(model, x)).toEqual(expected);
    peft.detach();
  });

  it.each(MIXTURES)('is not merged with %j', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    const saved = jest.fn();
    await expect(exportPlain(peft, {save: saved})).rejects.toThrow(
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
    await exportPlain(peft, place);
    close(await run(await loadGraphModel(place), x), await run(model, x));
    await expect(merge(peft)).rejects.toThrow(
      /'w' is also read by '(first|second)'; exportPlain gives the node/,
    );
    peft.detach();
  }
});

test('a model that is disposed while an adapter is merged leaves nothing behind', async () => {
  const tensors = tf.memory().numTensors;
  for (const detach of [false, true]) {
    const model = await DIALECTS.fused!().load();
    const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
    fill(peft);
    const expected = await run(model, input());
    await merge(peft, {detach});
    close(await run(model, input()), expected);
    model.dispose();
  }
  // The four inputs.
  expect(tf.memory().numTensors - tensors).toBe(4);
});

test('what follows an activation is merged as a product of its own, or refused where its columns are no axes', async () => {
  const build = (shape?: number[]) => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 4]);
    graph.weight('w', [4, 4]);
    let last = graph.node('MatMul', 'site', ['x', 'w']);
    if (shape !== undefined) last = graph.node('Reshape', 'reshaped', [last, graph.integers('shape', shape)]);
    return graph.output(graph.node('Sigmoid', 'y', [last])).load();
  };
  for (const shape of [undefined, [-1, 2, 2], [2, 1, 4]]) {
    const model = await build(shape);
    const peft = await upgrade(model, {adapter: {type: 'ia3'}});
    fill(peft);
    const place = memory();
    await exportPlain(peft, place);
    close(await run(await loadGraphModel(place), tf.ones([2, 4])), await run(model, tf.ones([2, 4])));
  }
  const other = await upgrade(await build([-1, 2]), {adapter: {type: 'ia3'}});
  await expect(exportPlain(other, memory())).rejects.toThrow(
    /Node 'site' cannot be merged: the shape of its output is unknown/,
  );
});

test('a model of the first version, whose op has another name, loads and runs, and is no target', async () => {
  const model = await DIALECTS.fused!().load();
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
  fill(peft);
  const place = memory();
  await peft.saveModel(place);
  const artifacts = await place.load();
  const {node} = artifacts.modelTopology as {node: {op: string}[]};
  const own = node.filter(({op}) => op.startsWith('TfjsPeftSite'));
  const ops = ['', ' (import @tfjs-peft/layers)', ' (import @tfjs-peft/layers/graph)'];
  for (const op of ops.map((advice) => `TfjsPeftSite${advice}`)) {
    for (const each of own) each.op = op;
    const loaded = await loadGraphModel({load: async () => artifacts});
    expect(await run(loaded, input())).toEqual(await run(model, input()));
    expect(() => inspect(loaded, {targets: ['first/Relu']})).toThrow(
      /a site of an adapter that was saved with the model/,
    );
  }
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
    if (op.startsWith('TfjsPeftSite')) attr.peft!.s = btoa('7b7d');
  }
  const loaded = await loadGraphModel({load: async () => artifacts});
  expect(() => loaded.predict(input())).toThrow(/another version of @tfjs-peft\/layers, or is damaged/);
});

describe('saved models that differ in the sizes of their constants alone', () => {
  const conv = (window: number[]) => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 5, 5, 2]);
    graph.weight('w', [...window, 2, 3]);
    graph.node('Conv2D', 'site', ['x', 'w'], {strides: [1, 1, 1, 1], padding: 'SAME'});
    return graph.output('site');
  };
  const einsum = (output: number[]) => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 4, 5]);
    graph.weight('w', [5, ...output]);
    return graph.output(graph.node('Einsum', 'site', ['x', 'w'], {equation: 'abc,cde->abde'}));
  };
  const product = (width: number) => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, width]);
    graph.weight('w', [width, 6 - width]);
    graph.weight('b', [6 - width]);
    graph.node('MatMul', 'site', ['x', 'w']);
    return graph.output(graph.node('BiasAdd', 'y', ['site', 'b']));
  };
  const scaled = (multiplier: number) => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 5, 5, 2]);
    graph.weight('w', [3, 3, 2, multiplier]);
    graph.node('DepthwiseConv2dNative', 'site', ['x', 'w'], {strides: [1, 1, 1, 1], padding: 'SAME'});
    return graph.output('site');
  };

  it.each<[string, () => GraphBuilder[], number[][], AdapterConfig]>([
    ['windows', () => [conv([1, 3]), conv([3, 1])], [[2, 5, 5, 2]], {type: 'lora', rank: 2}],
    ['windows, scaled', () => [conv([1, 3]), conv([3, 1])], [[2, 5, 5, 2]], {type: 'ia3'}],
    ['heads', () => [einsum([1, 3]), einsum([3, 1])], [[2, 4, 5]], {type: 'molora', experts: 2, rank: 1}],
    [
      'widths',
      () => [product(2), product(4)],
      [
        [2, 2],
        [2, 4],
      ],
      {type: 'lora', rank: 2},
    ],
    ['multipliers', () => [scaled(1), scaled(2)], [[2, 5, 5, 2]], {type: 'ia3'}],
  ])('run each with their own %s', async (_, build, shapes, adapter) => {
    const pairs = await Promise.all(
      build().map(async (graph, i) => {
        const model = await graph.load();
        const peft = await upgrade(model, {targets: ['site'], adapter, seed: 1});
        fill(peft);
        const place = memory();
        await peft.saveModel(place);
        const x = tf.randomUniform(shapes[i % shapes.length]!, -1, 1, 'float32', 3);
        return {model, copy: await loadGraphModel(place), x};
      }),
    );
    // Twice, since the second run of the one comes after the first of the other.
    for (const {model, copy, x} of [...pairs, ...pairs]) {
      const [y, expected] = [copy.predict(x) as tf.Tensor, model.predict(x) as tf.Tensor];
      expect(y.shape).toEqual(expected.shape);
      expect(await y.array()).toEqual(await expected.array());
    }
  });
});

test('a saved model that is disposed leaves nothing behind', async () => {
  const model = await DIALECTS.tensordot!().load();
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
  const place = memory();
  await peft.saveModel(place);
  const x = input();
  const before = tf.memory();
  const loaded = await loadGraphModel(place);
  await run(loaded, x);
  loaded.dispose();
  expect(tf.memory()).toEqual(before);
});
