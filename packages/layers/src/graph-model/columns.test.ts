import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, trainer, upgrade} from '../graph.js';
import {executorOf} from './internals.js';
import {matchNode} from './nodes.js';
import {GraphBuilder} from './testing/builder.js';
import {close, fill, memory} from './testing/run.js';

interface Case {
  /** What follows the product `site`; gives the last node. */
  behind(graph: GraphBuilder): string;
  /** Of x, w. Default: a MatMul of [16, 8] and [8, 16]. */
  x?: number[];
  w?: number[];
  op?: string;
  attributes?: Record<string, string>;
  /** Whether the constant is the product's bias. */
  bias: boolean;
}

function reshape(graph: GraphBuilder, to: number[], from = 'site', name = 'reshaped'): string {
  graph.integers(`${name}/shape`, to);
  return graph.node('Reshape', name, [from, `${name}/shape`]);
}

/** A shape that is computed from the input's, but for its last entries. */
function computed(graph: GraphBuilder, last: number[], how: 'Pack' | 'ConcatV2' | 'hidden'): string {
  graph.node('Shape', 'sizes', ['x'], {out_type: {type: 'DT_INT32'}});
  graph.integers('zero', [0]);
  graph.integers('one', [1]);
  const first = {shrink_axis_mask: how === 'Pack' ? 1 : 0};
  graph.node('StridedSlice', 'first', ['sizes', 'zero', 'one', 'one'], first);
  if (how === 'Pack') {
    const entries = last.map((size, i) => graph.integers(`entry${i}`, size));
    graph.node('Pack', 'shape', ['first', ...entries], {axis: 0});
  } else {
    graph.integers('entries', last);
    graph.integers('axis', 0);
    graph.node('ConcatV2', how === 'hidden' ? 'whole' : 'shape', ['first', 'entries', 'axis']);
    if (how === 'hidden')
      graph.node('AddV2', 'shape', ['whole', graph.integers('nothing', last.map(() => 0).concat(0))]);
  }
  return graph.node('Reshape', 'reshaped', ['site', 'shape']);
}

function plus(graph: GraphBuilder, from: string, shape: number[], left = false): string {
  graph.weight('c', shape);
  return graph.node('AddV2', 'sum', left ? ['c', from] : [from, 'c']);
}

const CONV = {
  op: 'Conv2D',
  x: [2, 3, 3, 2],
  w: [1, 1, 2, 3],
  attributes: {padding: 'SAME', data_format: 'NHWC'},
};
const BATCHED = {op: 'BatchMatMulV2', x: [2, 3, 4], w: [4, 3]};

const CASES: Record<string, Case> = {
  'a number for each row behind a Reshape': {
    behind: (graph) => plus(graph, reshape(graph, [1, 16, 16]), [16, 1]),
    bias: false,
  },
  'a number for each row, on the left': {
    behind: (graph) => plus(graph, reshape(graph, [1, 16, 16]), [16, 1], true),
    bias: false,
  },
  'a number for each row, of as many axes as the sum': {
    behind: (graph) => plus(graph, reshape(graph, [1, 16, 16]), [1, 16, 1]),
    bias: false,
  },
  'a number for each row of a shape that is inferred': {
    behind: (graph) => plus(graph, reshape(graph, [16, -1]), [16, 1]),
    bias: false,
  },
  'a number for each row, before an activation': {
    behind: (graph) => graph.node('Relu', 'y', [plus(graph, reshape(graph, [1, 16, 16]), [16, 1])]),
    bias: false,
  },
  'a number for each row without a Reshape': {behind: (graph) => plus(graph, 'site', [16, 1]), bias: false},
  'a number for each half row': {
    behind: (graph) => plus(graph, reshape(graph, [-1, 2, 8]), [2, 8]),
    bias: true,
  },
  'a number for each half row that is turned': {
    behind: (graph) => plus(graph, reshape(graph, [-1, 8, 2]), [8, 2]),
    bias: true,
  },
  'a number for each part of a head': {
    behind: (graph) => plus(graph, reshape(graph, [-1, 2, 8]), [8]),
    bias: false,
  },
  'columns that lie across two rows': {
    behind: (graph) => plus(graph, reshape(graph, [8, 32]), [1, 32]),
    bias: false,
  },
  'as many numbers as columns where these are split': {
    behind: (graph) => plus(graph, reshape(graph, [16, 16, 1]), [16, 16, 1]),
    bias: false,
  },
  'columns that became rows of one number': {
    behind: (graph) => plus(graph, reshape(graph, [-1, 1]), [16]),
    bias: false,
  },
  'a number for each column behind an axis of one': {
    behind: (graph) => plus(graph, reshape(graph, [-1, 16, 1]), [16, 1]),
    bias: true,
  },
  'a number for each column of a shape that is inferred': {
    behind: (graph) => plus(graph, reshape(graph, [-1, 16]), [16]),
    bias: true,
  },
  'two Reshapes, of which the second brings the columns back': {
    behind: (graph) => plus(graph, reshape(graph, [16, 16], reshape(graph, [32, 8]), 'back'), [16]),
    bias: true,
  },
  'a packed shape': {behind: (graph) => plus(graph, computed(graph, [1, 16], 'Pack'), [16]), bias: true},
  'a packed shape of heads': {
    behind: (graph) => plus(graph, computed(graph, [2, 8], 'Pack'), [2, 8]),
    bias: true,
  },
  'a packed shape, and a number for each row': {
    behind: (graph) => plus(graph, computed(graph, [1, 16], 'Pack'), [16, 1, 1]),
    bias: false,
  },
  'a concatenated shape': {
    behind: (graph) => plus(graph, computed(graph, [2, 8], 'ConcatV2'), [1, 2, 8]),
    bias: true,
  },
  'a hidden shape': {behind: (graph) => plus(graph, computed(graph, [16], 'hidden'), [16]), bias: true},
  'a hidden shape and several axes': {
    behind: (graph) => plus(graph, computed(graph, [2, 8], 'hidden'), [2, 8]),
    bias: false,
  },
  'a bias that gives the sum another axis': {behind: (graph) => plus(graph, 'site', [1, 1, 16]), bias: true},
  'a bias that gives it another axis, before an activation': {
    behind: (graph) => graph.node('Relu', 'y', [plus(graph, 'site', [1, 1, 16])]),
    bias: true,
  },
  'a bias with an axis of one in front': {behind: (graph) => plus(graph, 'site', [1, 16]), bias: true},
  'one number': {behind: (graph) => plus(graph, 'site', [1]), bias: false},
  'a scalar': {behind: (graph) => plus(graph, 'site', []), bias: false},
  'ExpandDims behind the columns': {
    behind: (graph) => {
      graph.integers('axis', -1);
      return plus(graph, graph.node('ExpandDims', 'wide', ['site', 'axis']), [16]);
    },
    bias: false,
  },
  'ExpandDims before the columns': {
    behind: (graph) => {
      graph.integers('axis', 1);
      return plus(graph, graph.node('ExpandDims', 'wide', ['site', 'axis']), [16]);
    },
    bias: true,
  },
  'ExpandDims behind the columns, and numbers to match': {
    behind: (graph) => {
      graph.integers('axis', 2);
      return plus(graph, graph.node('ExpandDims', 'wide', ['site', 'axis']), [16, 1]);
    },
    bias: true,
  },
  'Squeeze of one axis of an image': {
    ...CONV,
    x: [2, 1, 3, 2],
    behind: (graph) => plus(graph, graph.node('Squeeze', 'flat', ['site'], {squeeze_dims: [1]}), [3]),
    bias: true,
  },
  'Squeeze, and a number for each row': {
    ...CONV,
    x: [2, 1, 3, 2],
    behind: (graph) => plus(graph, graph.node('Squeeze', 'flat', ['site'], {squeeze_dims: [1]}), [3, 1]),
    bias: false,
  },
  'a Conv2D and a number for each row of pixels': {
    ...CONV,
    behind: (graph) => plus(graph, 'site', [3, 1, 1]),
    bias: false,
  },
  'a Conv2D and a number for each column of pixels': {
    ...CONV,
    behind: (graph) => plus(graph, 'site', [1, 3, 1]),
    bias: false,
  },
  'a Conv2D and a bias of four axes': {
    ...CONV,
    behind: (graph) => plus(graph, 'site', [1, 1, 1, 3]),
    bias: true,
  },
  'a Conv2D and a bias of five axes': {
    ...CONV,
    behind: (graph) => plus(graph, 'site', [1, 1, 1, 1, 3]),
    bias: true,
  },
  'a batched product and a number for each row': {
    ...BATCHED,
    behind: (graph) => plus(graph, 'site', [3, 1]),
    bias: false,
  },
  'a batched product and a bias of three axes': {
    ...BATCHED,
    behind: (graph) => plus(graph, 'site', [1, 1, 3]),
    bias: true,
  },
  'a batched product whose weight has more axes than x': {
    ...BATCHED,
    x: [3, 4],
    w: [1, 4, 3],
    behind: (graph) => plus(graph, 'site', [3]),
    bias: true,
  },
  'an Einsum and a number for each head': {
    op: 'Einsum',
    x: [2, 3, 4],
    w: [4, 3, 3],
    attributes: {equation: 'abc,cde->abde'},
    behind: (graph) => plus(graph, 'site', [3, 1]),
    bias: false,
  },
  'an Einsum and a bias': {
    op: 'Einsum',
    x: [2, 3, 4],
    w: [4, 3, 3],
    attributes: {equation: 'abc,cde->abde'},
    behind: (graph) => plus(graph, 'site', [3, 3]),
    bias: true,
  },
  'a product of one column': {w: [8, 1], behind: (graph) => plus(graph, 'site', [1]), bias: true},
  'a product of one column, and a number for each row': {
    w: [8, 1],
    behind: (graph) => plus(graph, 'site', [16, 1]),
    bias: false,
  },
  'a product of one column without its axis': {
    w: [8, 1],
    behind: (graph) => plus(graph, reshape(graph, [-1]), [1]),
    bias: true,
  },
};

function build({behind, x = [16, 8], w = [8, 16], op = 'MatMul', attributes}: Case): GraphBuilder {
  const graph = new GraphBuilder();
  graph.input('x', [-1, ...x.slice(1)]);
  graph.weight('w', w);
  graph.node(op, 'site', ['x', 'w'], {
    ...(op === 'Conv2D' && {strides: [1, 1, 1, 1], dilations: [1, 1, 1, 1]}),
    ...attributes,
  });
  return graph.output(behind(graph));
}

const ADAPTERS: AdapterConfig[] = [{type: 'lora', rank: 2}, {type: 'ia3'}, {type: 'mov', experts: 2}];

describe.each(Object.keys(CASES))('a product and %s', (name) => {
  const {x: shape = [16, 8], bias} = CASES[name]!;
  const x = () => tf.randomUniform(shape, -1, 1, 'float32', 7);

  it.each(ADAPTERS)('give what they gave before with a fresh %j, saved too', async (adapter) => {
    const model = await build(CASES[name]!).load();
    const before = model.predict(x()) as tf.Tensor;
    const peft = await upgrade(model, {adapter, targets: ['site']});
    const place = memory();
    await peft.saveModel(place);
    const copy = await loadGraphModel(place);
    for (const each of [model, copy]) {
      const after = each.predict(x()) as tf.Tensor;
      expect(after.shape).toEqual(before.shape);
      close((await after.data()) as Float32Array, (await before.data()) as Float32Array, 1e-6);
    }
    fill(peft);
    await peft.saveModel(place);
    const tuned = (await loadGraphModel(place)).predict(x()) as tf.Tensor;
    close(
      (await tuned.data()) as Float32Array,
      (await (model.predict(x()) as tf.Tensor).data()) as Float32Array,
      1e-6,
    );
  });

  it(bias ? 'are one site with a bias' : 'are a site without a bias', async () => {
    const executor = executorOf(await build(CASES[name]!).load());
    expect('bias' in matchNode(executor, executor.graph.nodes.site!)!).toBe(bias);
  });
});

test.each([
  'a number for each row behind a Reshape',
  'a bias that gives it another axis, before an activation',
  'a hidden shape',
])('a trainer computes what the model does at a product and %s', async (name) => {
  const model = await build(CASES[name]!).load();
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: ['site']});
  fill(peft);
  const x = tf.randomUniform([16, 8], -1, 1, 'float32', 7);
  const expected = model.predict(x) as tf.Tensor;
  const training = trainer(model);
  const y = (await training.predict(x)) as tf.Tensor;
  expect(await y.array()).toEqual(await expected.array());
  const lossOf = (outputs: tf.Tensor | tf.Tensor[]) => {
    const output = outputs as tf.Tensor;
    expect(output.shape).toEqual(expected.shape);
    return tf.sum(output) as tf.Scalar;
  };
  const {grads} = await training.gradients(x, lossOf);
  expect(Object.keys(grads)).toHaveLength(2);
});

test.each([
  ['[16, 1]', [16, 1]],
  ['[16, 16]', [16, 16]],
  ['[1]', [1]],
])('a fused node with a bias %s is refused by name', async (_, shape) => {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 8]);
  graph.weight('w', [8, 16]);
  graph.weight('b', shape);
  graph.node('_FusedMatMul', 'site', ['x', 'w', 'b'], {num_args: 1, fused_ops: ['BiasAdd']});
  const model = await graph.output('site').load();
  await expect(upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: ['site']})).rejects.toThrow(
    /'site' is a _FusedMatMul that has a bias \[[\d,]+\] that does not hold one number for each of its 16/,
  );
});

test('a sum whose shape shows only when it runs is refused by name if the constant is no bias', async () => {
  const graph = new GraphBuilder();
  graph.input('x', [-1, 8]);
  graph.weight('w', [8, 16]);
  graph.node('MatMul', 'site', ['x', 'w']);
  const model = await graph.output(plus(graph, computed(graph, [16, 1], 'hidden'), [16])).load();
  const x = tf.ones([1, 8]);
  await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets: ['site']});
  expect(() => model.predict(x)).toThrow(/Node 'sum' adds a constant \[16\] to a product's output/);
});
