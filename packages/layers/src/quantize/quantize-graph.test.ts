import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import '@tfjs-peft/kernels/wasm-training';
import {ConfigError, UnsupportedSiteError} from '@tfjs-peft/kernels';
import {tensorDeviation} from '@tfjs-peft/testing/compare';
import {packedOf} from '../core/tfjs/packed-variable.js';
import {trainer, upgrade} from '../graph.js';
import {GraphBuilder} from '../graph-model/testing/builder.js';
import {DIALECTS} from '../graph-model/testing/graphs.js';
import type {AdapterConfig} from '../index.js';
import {exportPlain} from '../merge.js';
import {dequantizeModel, type QuantizeModelOptions, quantizeModel} from '../quantize.js';
import {normal} from '../testing/sites.js';

const INT4: QuantizeModelOptions = {format: {type: 'int4', group: 3}};

/** ids [2] -> a table -> a transposed product -> one constant twice -> the table as output projection. */
function tied(): GraphBuilder {
  const graph = new GraphBuilder();
  graph.input('ids', [-1], 'DT_INT32');
  graph.weight('table', [7, 5]);
  graph.integers('axis', 0, []);
  const x = graph.node('GatherV2', 'lookup', ['table', 'ids', 'axis'], {batch_dims: 0});
  graph.weight('w', [6, 5]);
  graph.node('Identity', 'w/read', ['w']);
  const h = graph.node('MatMul', 'transposed', [x, 'w/read'], {transpose_a: false, transpose_b: true});
  graph.weight('out', [6, 4]);
  const left = graph.node('MatMul', 'left', [h, 'out'], {transpose_a: false, transpose_b: false});
  const right = graph.node('MatMul', 'right', [h, 'out'], {transpose_a: false, transpose_b: false});
  const sum = graph.node('AddV2', 'sum', [left, right]);
  graph.weight('down', [4, 5]);
  const y = graph.node('MatMul', 'last', [sum, 'down'], {transpose_a: false, transpose_b: false});
  graph.node('Identity', 'table/read', ['table']);
  return graph.output(
    graph.node('MatMul', 'logits', [y, 'table/read'], {transpose_a: false, transpose_b: true}),
  );
}

const GRAPHS: Record<string, {make(): GraphBuilder; inputs(): tf.Tensor; targets?: string[]}> = {
  ...Object.fromEntries(
    Object.entries(DIALECTS)
      .filter(([name]) => name !== 'einsum')
      .map(([name, make]) => [name, {make, inputs: () => normal([2, 3, 4], 5)}]),
  ),
  tied: {
    make: tied,
    inputs: () => tf.tensor1d([6, 0], 'int32'),
    targets: ['lookup', 'transposed', 'left', 'logits'],
  },
};

const run = (model: GraphModel, inputs: tf.Tensor) =>
  tf.tidy(() => tf.keep(model.predict(inputs) as tf.Tensor));

describe.each(['cpu', 'wasm'])('quantizeModel of GraphModels on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  describe.each(Object.entries(GRAPHS))('%s', (_, {make, inputs, targets}) => {
    const options = {...INT4, ...(targets && {targets})};
    const load = () => make().load();

    it('computes as with the dequantised weights, and leaves nothing behind', async () => {
      const before = tf.memory().numTensors;
      const [model, twin, plain] = [await load(), await load(), await load()];
      const loaded = tf.memory().numTensors;
      const report = await quantizeModel(model, options);
      await quantizeModel(twin, options);
      await dequantizeModel(twin);
      const x = inputs();
      const ys = [model, twin, plain].map((m) => run(m, x));
      expect(tensorDeviation(ys[0]!, ys[1]!)).toBeLessThan(1e-5);
      expect(tensorDeviation(ys[0]!, ys[2]!)).toBeGreaterThan(1e-3);
      for (const {weight} of report.layers) {
        expect(packedOf(model.weights[weight]![0]!)).toBeDefined();
        expect(await model.weights[weight]![0]!.data()).toEqual(await twin.weights[weight]![0]!.data());
      }
      const left: number[] = [];
      for (const m of [plain, model]) {
        const start = tf.memory().numTensors;
        const y = (await m.executeAsync(x)) as tf.Tensor;
        if (m === model) expect(tensorDeviation(y, ys[0]!)).toBeLessThan(1e-6);
        y.dispose();
        left.push(tf.memory().numTensors - start);
      }
      // tfjs itself leaves some.
      expect(left[1]).toBeLessThanOrEqual(left[0]!);
      tf.dispose([x, ...ys]);
      await dequantizeModel(model);
      expect(tf.memory().numTensors - left[0]! - left[1]!).toBe(loaded);
      await quantizeModel(model, options);
      for (const m of [model, twin, plain]) m.dispose();
      expect(tf.memory().numTensors - left[0]! - left[1]!).toBe(before);
    });
  });

  it('lets an adapter train on top as on the dequantised base, and gives the base back at detach', async () => {
    const [x, y] = [normal([2, 3, 4], 1), normal([2, 3, 5], 2)];
    const losses: number[][] = [];
    for (const packed of [true, false]) {
      const model = await DIALECTS.fused!().load();
      await quantizeModel(model, {format: 'int4'});
      if (!packed) await dequantizeModel(model);
      const base = run(model, x);
      const peft = await upgrade(model, {targets: ['first/Relu'], adapter: {type: 'lora', rank: 2}, seed: 1});
      const training = trainer(model, {optimizer: tf.train.sgd(0.5), loss: 'meanSquaredError'});
      const {history} = await training.fit({xs: x, ys: y}, {epochs: 3, verbose: 0});
      losses.push(history.loss as number[]);
      peft.detach();
      expect(run(model, x).dataSync()).toEqual(base.dataSync());
    }
    losses[0]!.forEach((loss, i) => {
      expect(loss).toBeCloseTo(losses[1]![i]!, 5);
    });
    expect(losses[0]![2]).toBeLessThan(losses[0]![0]!);
  });

  const BOTH_WAYS: [AdapterConfig, string[]][] = [
    [{type: 'lora', rank: 2}, ['lookup']],
    [{type: 'lora', rank: 2}, ['lookup', 'logits']],
    [{type: 'ia3', position: 'before-activation'}, ['logits']],
    [{type: 'dora', rank: 2}, ['logits']],
  ];

  it.each(BOTH_WAYS)(
    'trains on a table that is read both ways as on the dequantised one: %j at %j',
    async (adapter, nodes) => {
      const [xs, ys] = [tf.tensor1d([6, 0, 3], 'int32'), normal([3, 7], 2)];
      const runs: {history: number[]; outputs: tf.Tensor[]}[] = [];
      for (const packed of [true, false]) {
        const model = await tied().load();
        const {layers} = await quantizeModel(model, {format: INT4.format, targets: nodes});
        expect(layers.map(({layer, weight, shape}) => ({layer, weight, shape}))).toEqual([
          {layer: nodes[0], weight: 'table', shape: [7, 5]},
        ]);
        if (!packed) await dequantizeModel(model);
        const base = run(model, xs);
        const peft = await upgrade(model, {targets: nodes, adapter, seed: 1});
        const training = trainer(model, {optimizer: tf.train.sgd(0.5), loss: 'meanSquaredError'});
        const {history} = await training.fit({xs, ys}, {epochs: 3, verbose: 0});
        const trained = run(model, xs);
        peft.detach();
        expect(run(model, xs).dataSync()).toEqual(base.dataSync());
        runs.push({history: history.loss as number[], outputs: [base, trained]});
      }
      const [packed, plain] = runs;
      expect(tensorDeviation(packed!.outputs[0]!, packed!.outputs[1]!)).toBeGreaterThan(1e-3);
      packed!.outputs.forEach((output, i) => {
        expect(tensorDeviation(output, plain!.outputs[i]!)).toBeLessThan(1e-5);
      });
      packed!.history.forEach((loss, i) => {
        expect(loss).toBeCloseTo(plain!.history[i]!, 5);
      });
    },
  );

  it('gives what nodes within a site compute', async () => {
    const model = await DIALECTS.tensordot!().load();
    const x = normal([2, 3, 4], 1);
    const inner = 'first/Tensordot/MatMul';
    await quantizeModel(model, {format: 'int8'});
    const packed = model.execute(x, inner) as tf.Tensor;
    await dequantizeModel(model);
    expect(tensorDeviation(packed, model.execute(x, inner) as tf.Tensor)).toBeLessThan(1e-5);
  });
});

describe('a quantised GraphModel', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('packs a weight once for all nodes that read it, and says so', async () => {
    const model = await tied().load();
    const {layers, skipped} = await quantizeModel(model, {format: 'int8', targets: ['left', 'right']});
    expect(layers.map(({layer}) => layer)).toEqual(['left']);
    expect(skipped.find(({layer}) => layer === 'right')!.reason).toMatch(/its weight is that of 'left'/);
    await expect(quantizeModel(model, {format: 'int8', targets: ['right']})).rejects.toThrow(
      /quantised already/,
    );
  });

  it('refuses weights that something else reads, and files with the weights of before', async () => {
    const graph = tied();
    graph.output(graph.node('Neg', 'other', ['w']));
    const model = await graph.load();
    const options: QuantizeModelOptions = {format: 'int8', targets: ['transposed']};
    await expect(quantizeModel(model, options)).rejects.toThrow(/also read by 'other'/);
    await expect(quantizeModel(model, options)).rejects.toThrow(UnsupportedSiteError);
    await quantizeModel(model, {format: 'int8', targets: ['left']});
    const peft = await upgrade(model, {targets: ['left'], adapter: {type: 'lora', rank: 1}});
    await expect(exportPlain(peft, 'out/nowhere')).rejects.toThrow(/is quantised/);
    await expect(peft.saveModel('out/nowhere')).rejects.toThrow(ConfigError);
  });

  it('is calibrated by gptq, and refused for a table', async () => {
    const model = await tied().load();
    const data = tf.tensor1d([0, 1, 2, 3, 4, 5, 6], 'int32');
    const gptq = {format: 'int4', quantizer: 'gptq', data} as const;
    const {layers} = await quantizeModel(model, {...gptq, targets: ['left', 'transposed']});
    expect(layers.length).toBe(2);
    await expect(quantizeModel(model, {...gptq, targets: ['lookup']})).rejects.toThrow(/is a table of rows/);
  });
});
