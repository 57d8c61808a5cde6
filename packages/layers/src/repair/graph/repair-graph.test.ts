import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';

import * as tf from '@tensorflow/tfjs';
import {normalizeArtifacts, UnsupportedModelError} from '../../repair.js';
import {graphArtifacts, type SmallGraph} from '../testing/artifacts.js';

beforeAll(() => tf.setBackend('cpu'));

beforeEach(() => tf.engine().startScope());
afterEach(() => tf.engine().endScope());

const s = (text: string) => ({s: btoa(text)});
const list = (...texts: string[]) => ({list: {s: texts.map((text) => btoa(text))}});
const random = (count: number, seed: number) =>
  Array.from(tf.randomUniform([count], -1, 1, 'float32', seed).dataSync());

async function run(graph: SmallGraph, x: tf.Tensor, repair = true): Promise<tf.Tensor> {
  const artifacts = graphArtifacts(graph);
  const before = JSON.stringify(artifacts.modelTopology);
  const handler = repair ? normalizeArtifacts(artifacts) : tf.io.fromMemory(artifacts);
  const model = await tf.loadGraphModel(handler);
  expect(JSON.stringify(artifacts.modelTopology)).toBe(before);
  return model.execute({x}, 'y') as tf.Tensor;
}

function expectClose(actual: tf.Tensor, expected: tf.Tensor): void {
  expect(actual.shape).toEqual(expected.shape);
  expect(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0]).toBeLessThan(1e-5);
}

function batchNorm(format: 'NHWC' | 'NCHW', training: boolean | undefined, statistics = 0): SmallGraph {
  const shape = format === 'NHWC' ? [2, 3, 4, 5] : [2, 5, 3, 4];
  const vector = (seed: number, count = 5) => ({shape: [count], values: random(count, seed)});
  return {
    inputs: {x: shape},
    constants: {
      scale: vector(1),
      offset: vector(2),
      mean: vector(3, statistics),
      variance: vector(4, statistics),
    },
    nodes: {
      y: {
        op: 'FusedBatchNormV3',
        input: ['x', 'scale', 'offset', 'mean', 'variance'],
        attr: {
          data_format: s(format),
          epsilon: {f: 0.001},
          ...(training !== undefined && {is_training: {b: training}}),
        },
      },
    },
  };
}

describe('FusedBatchNorm in training mode', () => {
  test.each([
    ['NHWC', true],
    ['NCHW', true],
    ['NHWC', undefined],
  ] as const)('normalises %s by its own statistics, is_training %s', async (format, training) => {
    const graph = batchNorm(format, training);
    const x = tf.randomNormal(graph.inputs.x!, 3, 2, 'float32', 5);
    const axes = format === 'NHWC' ? [0, 1, 2] : [0, 2, 3];
    const broadcast = format === 'NHWC' ? [1, 1, 1, 5] : [1, 5, 1, 1];
    const {mean, variance} = tf.moments(x, axes, true);
    const [scale, offset] = [graph.constants!.scale!, graph.constants!.offset!].map(({values}) =>
      tf.tensor(values, broadcast),
    ) as [tf.Tensor, tf.Tensor];
    const expected = x.sub(mean).div(variance.add(0.001).sqrt()).mul(scale).add(offset);
    expectClose(await run(graph, x), expected);
  });

  test('has a gradient from stock ops', async () => {
    const graph = batchNorm('NHWC', true);
    const model = await tf.loadGraphModel(normalizeArtifacts(graphArtifacts(graph)));
    const x = tf.randomNormal(graph.inputs.x!, 0, 1, 'float32', 6);
    const weights = tf.randomNormal(graph.inputs.x!, 0, 1, 'float32', 7);
    const value = (at: tf.Tensor) =>
      tf.sum(tf.mul(model.execute({x: at}, 'y') as tf.Tensor, weights)) as tf.Scalar;
    const direction = tf.randomNormal(graph.inputs.x!, 0, 1, 'float32', 8);
    const slope = tf.sum(tf.mul(tf.grad(value)(x), direction)).dataSync()[0]!;
    const [ahead, behind] = [0.01, -0.01].map((step) => value(x.add(direction.mul(step))).dataSync()[0]!) as [
      number,
      number,
    ];
    expect(Math.abs(slope - (ahead - behind) / 0.02)).toBeLessThan(0.02 * Math.abs(slope) + 1e-2);
  });

  test('stays as it is at inference', async () => {
    const handler = normalizeArtifacts(graphArtifacts(batchNorm('NHWC', false, 5)));
    await tf.loadGraphModel(handler);
    expect(handler.repairs).toEqual([]);
  });

  test('is refused where its statistics are read', async () => {
    const graph = batchNorm('NHWC', true);
    graph.nodes.mean_of_batch = {op: 'Identity', input: ['y:1']};
    await expect(normalizeArtifacts(graphArtifacts(graph)).load()).rejects.toThrow(
      /node 'y' \(FusedBatchNormV3, is_training\) passes its batch statistics to 'mean_of_batch'/,
    );
  });
});

describe('a fused activation that tfjs has no name for', () => {
  const product = (op: string, ...ops: string[]): SmallGraph => ({
    inputs: {x: op === '_FusedMatMul' ? [3, 4] : [1, 3, 3, 4]},
    constants: {
      w: {shape: op === '_FusedMatMul' ? [4, 5] : [1, 1, 4, 5], values: random(20, 1)},
      b: {shape: [5], values: random(5, 2)},
    },
    nodes: {
      y: {
        op,
        input: ['x', 'w', 'b'],
        attr: {
          fused_ops: list(...ops),
          num_args: {i: '1'},
          transpose_a: {b: false},
          transpose_b: {b: false},
          strides: {list: {i: ['1', '1', '1', '1']}},
          dilations: {list: {i: ['1', '1', '1', '1']}},
          padding: s('SAME'),
          data_format: s('NHWC'),
        } as Record<string, object>,
      },
    },
  });
  const half = (x: tf.Tensor, y: tf.Tensor) => x.mul(0.5).mul(y.add(1));
  const expected: Record<string, (x: tf.Tensor) => tf.Tensor> = {
    GeluExact: (x) => half(x, x.div(Math.SQRT2).erf()),
    GeluApproximate: (x) =>
      half(
        x,
        x
          .add(x.pow(3).mul(0.044715))
          .mul(Math.sqrt(2 / Math.PI))
          .tanh(),
      ),
    Tanh: (x) => x.tanh(),
  };

  test.each(
    ['_FusedMatMul', '_FusedConv2D'].flatMap((op) =>
      Object.keys(expected).map((name) => [op, name] as const),
    ),
  )('%s [BiasAdd, %s] is computed, and was not', async (op, activation) => {
    const graph = product(op, 'BiasAdd', activation);
    const x = tf.randomNormal(graph.inputs.x!, 0, 1, 'float32', 3);
    await expect(run(graph, x, false)).rejects.toThrow(/has not been implemented|not.*support/i);
    const z = await run(product(op, 'BiasAdd'), x);
    expectClose(await run(graph, x), expected[activation]!(z));
  });

  test('an activation that tfjs has stays fused', async () => {
    const handler = normalizeArtifacts(graphArtifacts(product('_FusedMatMul', 'BiasAdd', 'Relu')));
    await handler.load();
    expect(handler.repairs).toEqual([]);
  });
});

describe('a loop of Enter and Switch', () => {
  const loop = (source: string): SmallGraph => ({
    inputs: {x: [2]},
    constants: {w: {shape: [2], values: [3, 4]}},
    nodes: {
      computed: {op: 'Relu', input: ['x']},
      'while/Enter': {op: 'Enter', input: [source], attr: {frame_name: s('while'), is_constant: {b: true}}},
      'while/Switch': {op: 'Switch', input: ['x', 'x']},
      'while/order': {op: 'NoOp', input: ['^while/Switch', '^while/Enter']},
      'while/later': {op: 'NoOp', input: ['^while/order', '^computed']},
      'while/body': {op: 'Mul', input: ['x', 'while/Enter', '^while/order', '^while/later']},
      y: {op: 'Identity', input: ['while/body']},
    },
  });
  const inputsOf = async (graph: SmallGraph) => {
    const {modelTopology} = await normalizeArtifacts(graphArtifacts(graph)).load();
    const {node} = modelTopology as {node: {name: string; input?: string[]}[]};
    return (name: string) => node.find((own) => own.name === name)!.input;
  };

  test('reads constants from outside and waits for no branch that is not taken', async () => {
    const inputs = await inputsOf(loop('w'));
    expect(inputs('while/body')).toEqual(['x', 'w', '^while/later']);
    expect(inputs('while/later')).toEqual(['^computed']);
  });

  test('is refused where its body reads what is computed outside as a constant', async () => {
    const refused = normalizeArtifacts(graphArtifacts(loop('computed'))).load();
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow(/'while\/body' .*'computed'.* --control_flow_v2=True/);
  });

  test('with tensor lists that stock tfjs runs stays as it is', async () => {
    const handler = normalizeArtifacts(
      graphArtifacts({
        inputs: {x: [2]},
        nodes: {
          'map/Enter': {op: 'Enter', input: ['x'], attr: {frame_name: s('map')}},
          'map/list': {op: 'TensorListReserve', input: ['x']},
          y: {op: 'Identity', input: ['x', '^map/Enter']},
        },
      }),
    );
    await handler.load();
    expect(handler.repairs).toEqual([]);
  });
});

describe.each(['cpu', 'wasm'])('a product with a summand that is no vector, on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));
  afterAll(() => tf.setBackend('cpu'));

  test.each(['', 'Relu', 'Sigmoid'])('is added to by a node of its own: %s', async (activation) => {
    const ops = {list: {s: ['BiasAdd', activation].filter(Boolean).map((name) => btoa(name))}};
    const artifacts = graphArtifacts({
      inputs: {x: [2, 2], rows: [2, 2]},
      constants: {w: {shape: [2, 2], values: [1, 2, 3, 4]}},
      nodes: {
        y: {
          op: '_FusedMatMul',
          input: ['x', 'w', 'rows'],
          attr: {T: {type: 'DT_FLOAT'}, fused_ops: ops, num_args: {i: '1'}},
        },
      },
    });
    const model = await tf.loadGraphModel(normalizeArtifacts(artifacts));
    const [x, rows] = [
      tf.tensor2d([
        [1, -1],
        [0, 2],
      ]),
      tf.tensor2d([
        [9, 1],
        [-50, 0.5],
      ]),
    ];
    const z = tf.add(
      tf.matMul(
        x,
        tf.tensor2d([
          [1, 2],
          [3, 4],
        ]),
      ),
      rows,
    );
    const want = activation === 'Relu' ? tf.relu(z) : activation === 'Sigmoid' ? tf.sigmoid(z) : z;
    expectClose(model.execute({x, rows}) as tf.Tensor, want);
  });
});

test('a graph without versions loads', async () => {
  const artifacts = graphArtifacts({inputs: {x: [2]}, nodes: {y: {op: 'Relu', input: ['x']}}});
  delete (artifacts.modelTopology as {versions?: object}).versions;
  await expect(tf.loadGraphModel(tf.io.fromMemory(artifacts))).rejects.toThrow(TypeError);
  const model = await tf.loadGraphModel(normalizeArtifacts(artifacts));
  expectClose(model.execute({x: tf.tensor1d([-1, 2])}, 'y') as tf.Tensor, tf.tensor1d([0, 2]));
});

test('scalars that float16 made 0 or infinite are restored', async () => {
  const artifacts = graphArtifacts({
    inputs: {x: [3]},
    nodes: {
      shifted: {op: 'AddV2', input: ['x', 'epsilon']},
      root: {op: 'Rsqrt', input: ['shifted']},
      low: {op: 'Mul', input: ['x', 'mask']},
      both: {op: 'AddV2', input: ['root', 'low']},
      y: {op: 'Identity', input: ['both']},
    },
  });
  const topology = artifacts.modelTopology as {node: object[]};
  for (const name of ['epsilon', 'mask'])
    topology.node.push({name, op: 'Const', attr: {dtype: {type: 'DT_FLOAT'}}});
  artifacts.weightSpecs = ['epsilon', 'mask'].map((name) => ({
    name,
    shape: [],
    dtype: 'float32',
    quantization: {dtype: 'float16'},
  }));
  artifacts.weightData = Uint16Array.from([0, 0xfc00]).buffer as ArrayBuffer;
  const handler = normalizeArtifacts(artifacts);
  const model = await tf.loadGraphModel(handler);
  const y = model.execute({x: tf.tensor1d([0, 0, 0])}, 'y') as tf.Tensor;
  expectClose(y.mul(1e-6), tf.tensor1d([1, 1, 1]));
  expect(handler.repairs.map(({rule, where}) => [rule, where])).toEqual([
    ['float16', 'epsilon'],
    ['float16', 'mask'],
  ]);
});

test('weights in pieces and in a stream are read alike', async () => {
  const graph = batchNorm('NHWC', true);
  const x = tf.randomNormal(graph.inputs.x!, 0, 1, 'float32', 9);
  const expected = await run(graph, x);
  const whole = graphArtifacts(graph);
  const bytes = whole.weightData as ArrayBuffer;
  const pieces = [bytes.slice(0, 12), bytes.slice(12)];
  const {weightData, ...streamed} = whole;
  const getWeightStream = () =>
    new ReadableStream<ArrayBuffer>({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece);
        controller.close();
      },
    });
  for (const artifacts of [
    {...whole, weightData: pieces},
    {...streamed, getWeightStream},
  ]) {
    const model = await tf.loadGraphModel(normalizeArtifacts(artifacts));
    expectClose(model.execute({x}, 'y') as tf.Tensor, expected);
  }
});
