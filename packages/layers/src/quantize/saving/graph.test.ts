import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import * as tf from '@tensorflow/tfjs';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import {upgrade} from '../../graph.js';
import {GraphBuilder} from '../../graph-model/testing/builder.js';
import {DIALECTS, X_SHAPE} from '../../graph-model/testing/graphs.js';
import {fill, memory, run} from '../../graph-model/testing/run.js';
import {dequantizeModel, loadQuantized, quantizeModel} from '../../quantize.js';

const input = () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);

/** What a model saves, through JSON as a file goes. */
async function saved(model: GraphModel): Promise<tf.io.ModelArtifacts> {
  const place = memory();
  await model.save(place);
  return place.load();
}

const DENSE = Object.keys(DIALECTS).filter((name) => name !== 'einsum');

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  test.each(DENSE)(
    'a graph in the dialect %s is saved packed, and loads packed with the same outputs',
    async (dialect) => {
      const model = await DIALECTS[dialect]!().load();
      const plain = await saved(model);
      await quantizeModel(model, {format: 'int4'});
      const want = await run(model, input());
      const file = await saved(model);
      expect(file.weightSpecs!.length).toBeGreaterThan(plain.weightSpecs!.length);
      const loaded = await loadQuantized<GraphModel>({load: async () => file});
      expect(await run(loaded, input())).toEqual(want);
      // Saved again, it is the same file.
      const again = await saved(loaded);
      expect(again).toEqual(file);
      // An adapter goes on top.
      const peft = await upgrade(loaded, {adapter: {type: 'lora', rank: 2}, seed: 1});
      expect(await run(loaded, input())).toEqual(want);
      fill(peft);
      expect(await run(loaded, input())).not.toEqual(want);
      peft.detach();
      // And it can be made plain: its file then has the numbers of the codes.
      expect(await dequantizeModel(loaded)).toHaveLength(2);
      const back = await loadGraphModel({load: async () => saved(loaded)});
      expect(await run(back, input())).toEqual(await run(loaded, input()));
      loaded.dispose();
    },
  );

  test('a transposed weight and one that two nodes read', async () => {
    const graph = new GraphBuilder();
    graph.input('x', [-1, 6]);
    graph.weight('w', [6, 6]);
    graph.weight('v', [9, 6]);
    graph.node('MatMul', 'first', ['x', 'w'], {transpose_a: false, transpose_b: false});
    graph.node('MatMul', 'again', ['first', 'w'], {transpose_a: false, transpose_b: false});
    graph.output(graph.node('MatMul', 'last', ['again', 'v'], {transpose_a: false, transpose_b: true}));
    const model = await graph.load();
    await quantizeModel(model, {format: 'int8'});
    const x = tf.randomUniform([3, 6], -1, 1, 'float32', 5);
    const file = await saved(model);
    const loaded = await loadQuantized<GraphModel>({load: async () => file});
    expect(await run(loaded, x)).toEqual(await run(model, x));
  });
});

describe('files', () => {
  beforeAll(() => tf.setBackend('cpu'));

  const quantised = async () => {
    const model = await DIALECTS.fused!().load();
    await quantizeModel(model, {format: 'int4'});
    return saved(model);
  };

  test('stock tfjs says what loads it, when the model first runs', async () => {
    const file = await quantised();
    const stock = await loadGraphModel({load: async () => file});
    expect(() => stock.predict(input())).toThrow(
      /TfjsPeftPacked \(loadQuantized of @tfjs-peft\/layers\/quantize\)/,
    );
  });

  type Topology = {node: {name: string; op: string}[]; tfjsPeftPacked: Record<string, unknown>[]};

  test.each<[string, (topology: Topology) => void, RegExp]>([
    ['a record too few', ({tfjsPeftPacked}) => tfjsPeftPacked.pop(), /only one has 'second\/w'/],
    [
      'a node too few',
      ({node}) => (node.find(({name}) => name === 'second/w')!.op = 'Const'),
      /only one has 'second\/w'/,
    ],
    [
      'a weight that lies otherwise',
      ({tfjsPeftPacked}) => (tfjsPeftPacked[0]!.place = {shape: [6, 4], transposed: true}),
      /'first\/w' is not one that a node/,
    ],
  ])('%s is refused', async (_, change, sentence) => {
    const file = await quantised();
    change(file.modelTopology as Topology);
    const before = tf.memory().numTensors;
    await expect(loadQuantized<GraphModel>({load: async () => file})).rejects.toThrow(sentence);
    expect(tf.memory().numTensors).toBe(before);
  });
});
