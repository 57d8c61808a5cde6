import '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs-core';
import {NoGradientError} from '@tfjs-peft/kernels';
import {trainer, upgrade} from '../../graph.js';
import '@tfjs-peft/kernels/gradients';
import {GraphBuilder} from '../testing/builder.js';

const PLAIN = {transpose_a: false, transpose_b: false};

/** x [-1, 4], and a site 'first' behind it. */
function begin(): GraphBuilder {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 4]);
  graph.weight('w', [4, 4]);
  graph.node('MatMul', 'first', ['x', 'w'], PLAIN);
  return graph;
}

async function trained(graph: GraphBuilder, outputs?: string | string[]) {
  const model = await graph.load();
  await upgrade(model, {adapter: {type: 'lora', rank: 1}, seed: 1});
  return trainer(model, {loss: 'meanSquaredError', ...(outputs !== undefined && {outputs})});
}

const sum = (out: tf.Tensor | tf.Tensor[]): tf.Scalar =>
  tf.addN([out].flat().map((t) => tf.sum(tf.cast(t, 'float32')))) as tf.Scalar;

const ENDS: [string, (graph: GraphBuilder) => string][] = [
  [
    'ArgMax',
    (graph) => {
      graph.integers('axis', 1);
      return graph.node('ArgMax', 'end', ['first', 'axis']);
    },
  ],
  ['Cast', (graph) => graph.node('Cast', 'end', ['first'], {DstT: {type: 'DT_INT32'}})],
  ['Round', (graph) => graph.node('Round', 'end', ['first'])],
  ['Greater', (graph) => graph.node('Greater', 'end', ['first', graph.weight('limit', [])])],
];

beforeAll(() => tf.setBackend('cpu'));

describe('an output that no gradient reaches', () => {
  it.each(ENDS)('is refused: behind a %s', async (op, end) => {
    const graph = begin();
    const own = await trained(graph.output(end(graph)));
    expect(own.preflight()).toEqual([
      {node: 'end', op, kernel: op, supplied: false, by: null, ends: {outputs: ['end'], trained: ['first']}},
    ]);
    const error = await own.gradients(tf.ones([2, 4]), sum).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NoGradientError);
    expect((error as Error).message).toContain(`'end' (${op}): no gradient passes through it`);
    expect((error as Error).message).toContain('set outputs to a node before it');
  });

  it('is refused further behind, and by the numbers that a node reads', async () => {
    const graph = begin();
    graph.integers('all', [0, 1]);
    graph.node('Max', 'most', ['first', 'all'], {keep_dims: false});
    graph.integers('shape', [2, 3]);
    graph.node('Fill', 'filled', ['shape', 'most']);
    const own = await trained(graph.output(graph.node('Square', 'y', ['filled'])));
    expect(own.preflight()).toMatchObject([{node: 'filled', ends: {outputs: ['y'], trained: ['first']}}]);
  });

  it('is named beside one that a gradient reaches', async () => {
    const graph = begin();
    graph.integers('axis', 1);
    graph.node('ArgMax', 'class', ['first', 'axis']);
    const own = await trained(graph.output('first').output('class'));
    expect(own.preflight()).toMatchObject([{node: 'class', ends: {outputs: ['class'], trained: []}}]);
  });

  it('does not matter where the output itself is not asked for', async () => {
    const graph = begin();
    graph.integers('axis', 1);
    graph.node('ArgMax', 'class', ['first', 'axis']);
    expect((await trained(graph.output('first').output('class'), 'first')).preflight()).toEqual([]);
  });

  it('is the place of the largest, not the largest itself', async () => {
    const graph = begin();
    graph.integers('count', 2);
    graph.node('TopKV2', 'top', ['first', 'count'], {sorted: true});
    const model = graph.output('top');
    expect((await trained(model, 'top')).preflight()).toEqual([]);
    const places = await trained(model, 'top:1');
    expect(places.preflight()).toMatchObject([{node: 'top', ends: {outputs: ['top:1'], trained: ['first']}}]);
  });
});

it('what is trained and gets no gradient is named, though the output gets one from elsewhere', async () => {
  const graph = begin();
  graph.weight('v', [4, 4]);
  graph.node('MatMul', 'second', ['x', 'v'], PLAIN);
  graph.node('Round', 'rounded', ['first']);
  const own = await trained(graph.output(graph.node('AddV2', 'y', ['rounded', 'second'])));
  expect(own.preflight()).toMatchObject([{node: 'rounded', ends: {outputs: [], trained: ['first']}}]);
});

describe('control inputs', () => {
  it('carry no data: an output after a dynamic node is trained', async () => {
    const graph = begin();
    graph.node('Where', 'places', ['first']);
    const own = await trained(graph.output(graph.node('Square', 'y', ['first', '^places'])));
    expect(own.preflight()).toEqual([]);
    const {value, grads} = await own.gradients(tf.ones([2, 4]), sum);
    expect(value.dataSync()[0]).toBeGreaterThan(0);
    expect(Object.keys(grads)).toHaveLength(2);
  });

  it('an error of many sites lists a few of them, and how many more', async () => {
    const graph = begin();
    let last = 'first';
    for (let i = 0; i < 40; i++) last = graph.node('MatMul', `layer${i}`, [last, 'w'], PLAIN);
    graph.node('Where', 'places', [last]);
    const model = await graph.output('places').load();
    await upgrade(model, {adapter: {type: 'lora', rank: 1}, targets: 'all-projections'});
    expect(() => trainer(model)).toThrow(/'first', 'layer0'.* and 33 more/);
    try {
      trainer(model);
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(500);
    }
  });
});

it('of many gaps, an error tells some and how many more', async () => {
  const graph = begin();
  graph.integers('ids', [0, 1]);
  graph.integers('segments', [0, 1]);
  let last = 'first';
  for (let i = 0; i < 30; i++) last = graph.node('SparseSegmentSum', `sum${i}`, [last, 'ids', 'segments']);
  const own = await trained(graph.output(last));
  expect(own.preflight()).toHaveLength(30);
  await expect(own.gradients(tf.ones([2, 4]), sum)).rejects.toThrow(
    /'sum0'(.|\n)*and 18 more; preflight\(\) lists all/,
  );
});
