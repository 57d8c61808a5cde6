import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {inspect, loadPeft, type Targets, upgrade} from '../graph.js';
import {GraphBuilder} from './testing/builder.js';
import {DIALECTS} from './testing/graphs.js';
import {fill, memory, run} from './testing/run.js';

const load = (dialect = 'tensordot') => DIALECTS[dialect]!().load();

/** MatMuls of every kind that is none, and a site. */
function mixed(): Promise<GraphModel> {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 4]);
  graph.weight('w', [4, 4]);
  graph.node('MatMul', 'scope/good', ['x', 'w']);
  graph.node('MatMul', 'scope/computed', ['scope/good', 'x'], {transpose_b: true});
  graph.weight('square', [2, 2]);
  graph.integers('two', [2, -1]);
  graph.node('Reshape', 'pairs', ['scope/computed', 'two']);
  graph.node('MatMul', 'left', ['square', 'pairs']);
  graph.weight('experts', [3, 4, 4]);
  graph.integers('three', [3, -1, 4]);
  graph.node('Reshape', 'triples', ['scope/good', 'three']);
  graph.node('BatchMatMulV2', 'batch', ['triples', 'experts'], {adj_x: false, adj_y: false});
  graph.weight('kernel', [4, 4]);
  graph.node('Einsum', 'elementwise', ['x', 'kernel'], {equation: 'ab,cb->acb', N: 2});
  graph.node('_FusedMatMul', 'gelu', ['x', 'w', 'bias'], {fused_ops: ['BiasAdd', 'GeluExact'], num_args: 1});
  graph.weight('bias', [4]);
  graph.weight('filter', [1, 3, 3, 1, 2]);
  graph.node('Conv3D', 'volume', ['x', 'filter'], {strides: [1, 1, 1, 1, 1], padding: 'SAME'});
  return graph.output('scope/good').load();
}

test('inspect says of every node why it is none', async () => {
  const {sites} = inspect(await mixed());
  expect(Object.fromEntries(sites.map(({name, status, reason}) => [name, `${status}: ${reason}`]))).toEqual({
    'scope/good': 'adapted: a Dense layer',
    'scope/computed': 'frozen: a MatMul that multiplies two tensors, neither of which is a constant',
    left: 'frozen: a MatMul that has its constant on the left',
    batch: 'frozen: a BatchMatMulV2 that has a weight [3,4,4] with a separate matrix for each sample',
    elementwise: 'frozen: an Einsum that has the equation ab,cb->acb, which sums over no axis',
    gelu: 'frozen: a _FusedMatMul that fuses the activation geluexact, which tfjs cannot run',
    volume: expect.stringMatching(/^frozen: a Conv3D, which cannot carry an adapter; MatMul, _FusedMatMul, /),
  });
  expect(String(inspect(await mixed()))).toMatch(/node +op +weight +stored as +shape +status/);
});

test.each<[string, Targets, string[]]>([
  ['a name', ['first/Tensordot/MatMul'], ['first/Tensordot/MatMul']],
  ['a scope', ['second'], ['second/Tensordot/MatMul']],
  ['a pattern', [/first.*MatMul/], ['first/Tensordot/MatMul']],
  ['an op', [{op: 'MatMul'}], ['first/Tensordot/MatMul', 'second/Tensordot/MatMul']],
  ['the shape of a weight', [{weightShape: [6, 5]}], ['second/Tensordot/MatMul']],
  ['an op and the shape of a weight', [{op: 'MatMul', weightShape: [4, 6]}], ['first/Tensordot/MatMul']],
  ['all projections', 'all-projections', ['first/Tensordot/MatMul', 'second/Tensordot/MatMul']],
  ['a predicate', ({parameters}) => parameters === 35, ['second/Tensordot/MatMul']],
])('targets by %s', async (_, targets, names) => {
  const {sites} = inspect(await load(), {targets});
  expect(sites.filter(({status}) => status === 'adapted').map(({name}) => name)).toEqual(names);
});

test.each<[string, string, object, RegExp]>([
  [
    'a name that is none',
    'NoTargetError',
    {targets: ['third']},
    /'third' matches no node.*'first\/Tensordot\/MatMul'/,
  ],
  [
    'an op that is not there',
    'NoTargetError',
    {targets: [{op: 'Einsum'}]},
    /\{op: 'Einsum'\} matches no node/,
  ],
  [
    'a target with an unknown key',
    'ConfigError',
    {targets: [{shape: [4, 6]}]},
    /unknown option 'shape'.*op, weightShape/,
  ],
  ['an empty target', 'ConfigError', {targets: [{}]}, /must be a list of layer names, RegExps, and objects/],
  ['an adapter that is none', 'ConfigError', {adapter: {type: 'lorax'}}, /lorax/],
  [
    'alsoTrain',
    'ConfigError',
    {alsoTrain: ['first']},
    /alsoTrain works only for a LayersModel.*head to the trainer/,
  ],
  [
    'an override that matches nothing',
    'NoTargetError',
    {overrides: [{targets: ['x'], adapter: {}}]},
    /\['x'\] matches no adapted node/,
  ],
])('%s is refused, and the model left alone', async (_, kind, config, message) => {
  const model = await load();
  const x = tf.ones([2, 3, 4]);
  const before = await run(model, x);
  const tensors = tf.memory().numTensors;
  const error = await upgrade(model, {adapter: {type: 'lora', rank: 2}, ...config} as never).catch(
    (error) => error,
  );
  expect(error).toMatchObject({name: kind, message: expect.stringMatching(message)});
  expect(tf.memory().numTensors).toBe(tensors);
  expect(await run(model, x)).toEqual(before);
});

test('a node that cannot be a site is refused by name, with the reason', async () => {
  const config = (targets: Targets) => ({adapter: {type: 'lora', rank: 2} as const, targets});
  await expect(upgrade(await mixed(), config(['left']))).rejects.toThrow(
    /Target 'left': node 'left' is a MatMul that has its constant on the left\. Target one of: 'scope\/good'/,
  );
  await expect(upgrade(await mixed(), config([{op: 'Einsum'}]))).rejects.toThrow(
    /node 'elementwise' is an Einsum/,
  );
});

test('a name is taken once, and a model that is disposed or detached is refused', async () => {
  const model = await load();
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}});
  await expect(upgrade(model, {adapter: {type: 'ia3'}})).rejects.toThrow(/already has an adapter 'default'/);
  peft.detach();
  expect(() => peft.report()).toThrow(/This upgrade of the GraphModel was detached/);
  model.dispose();
  await expect(upgrade(model, {adapter: {type: 'ia3'}})).rejects.toThrow(/disposed/);
});

test('another inside of tfjs-converter is told of', async () => {
  const model = await load();
  const {executor} = model as unknown as {executor: {graph: {nodes: object}}};
  executor.graph.nodes = {x: {name: 'x'}};
  await expect(upgrade(model, {adapter: {type: 'ia3'}})).rejects.toThrow(/do not match tfjs-converter 4\.22/);
});

test('hostile names are names like any other', async () => {
  // Those that every object has, such as `constructor`, tfjs itself cannot run.
  const names = ['a.b', 'a.b.lora_A', 'x/y', '0', 'x/y/lora_A', 'Größe', 'a b', '-', 'lora_A'];
  const graph = new GraphBuilder();
  let before = graph.input('in', [-1, 3]);
  for (const name of names) before = graph.node('MatMul', name, [before, graph.weight(`${name}/w`, [3, 3])]);
  const model = await graph.output(before).load();
  expect(
    inspect(model)
      .sites.map(({name}) => name)
      .sort(),
  ).toEqual([...names].sort());
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 1}});
  expect(new Set(peft.trainableVariables().map(({name}) => name)).size).toBe(2 * names.length);
  fill(peft);
  const place = memory();
  await peft.save(place);
  const other = await graph.load();
  await loadPeft(other, place);
  const x = tf.ones([2, 3]);
  expect(await run(other, x)).toEqual(await run(model, x));
});

test('an adapter that makes sequences longer is refused', async () => {
  const graph = new GraphBuilder();
  graph.input('ids', [-1, 3], 'DT_INT32');
  graph.weight('table', [7, 4]);
  graph.integers('axis', 0);
  const model = await graph.output(graph.node('GatherV2', 'lookup', ['table', 'ids', 'axis'])).load();
  const adapter = {type: 'lime', experts: 2, over: {type: 'prompt', virtualTokens: 2}} as const;
  await expect(upgrade(model, {adapter, targets: ['lookup']})).rejects.toThrow(
    /Node 'lookup' cannot carry 2 virtual tokens/,
  );
});

test('products that control flow runs are listed as what they are', async () => {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 4]);
  graph.weight('w', [4, 4]);
  const artifacts = graph.output(graph.node('MatMul', 'site', ['x', 'w'])).artifacts();
  const float = {name: 'x', type: 'DT_FLOAT'};
  (artifacts.modelTopology as {library: object}).library = {
    function: [
      {
        signature: {name: 'body', inputArg: [float], outputArg: [{...float, name: 'y'}]},
        nodeDef: [{name: 'product', op: 'MatMul', input: ['x', 'x'], attr: {}}],
        ret: {y: 'product:product:0'},
      },
    ],
  };
  const {sites} = inspect(await loadGraphModel({load: async () => artifacts}));
  expect(sites.map(({name, status}) => [name, status])).toEqual([
    ['site', 'adapted'],
    ['body/product', 'frozen'],
  ]);
  expect(sites[1]!.reason).toMatch(/inside the function 'body', which control flow runs/);
});
