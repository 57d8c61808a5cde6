import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/gradients';
import {largestDifference} from '@tfjs-peft/testing/compare';
import {trainer, upgrade} from '../graph.js';
import {GraphBuilder} from '../graph-model/testing/builder.js';
import {run} from '../graph-model/testing/run.js';
import {attachSideNetwork, type GraphSideConfig, loadSideNetwork} from './attach.js';

beforeAll(() => tf.setBackend('cpu'));

const [TOKENS, WIDTH, CLASSES] = [5, 8, 3];

/** x [-1, 5, 8] through blocks of a product, a bias and tanh; the mean of the tokens; a head. */
function graph(blocks = 3, {head = true} = {}): GraphBuilder {
  const builder = new GraphBuilder();
  let at = builder.input('x', [-1, TOKENS, WIDTH]);
  for (let i = 1; i <= blocks; i++) {
    builder.weight(`block_${i}/kernel`, [WIDTH, WIDTH]);
    builder.weight(`block_${i}/bias`, [WIDTH]);
    builder.node('BatchMatMulV2', `block_${i}/MatMul`, [at, `block_${i}/kernel`], {
      adj_x: false,
      adj_y: false,
    });
    builder.node('AddV2', `block_${i}/Add`, [`block_${i}/MatMul`, `block_${i}/bias`]);
    at = builder.node('Tanh', `block_${i}/out`, [`block_${i}/Add`]);
  }
  if (!head) return builder.output(at);
  builder.integers('axis', [1]);
  builder.node('Mean', 'pool', [at, 'axis'], {keep_dims: false});
  builder.weight('head/kernel', [WIDTH, CLASSES]);
  return builder.output(
    builder.node('MatMul', 'head', ['pool', 'head/kernel'], {transpose_a: false, transpose_b: false}),
  );
}

const CONFIG: GraphSideConfig = {
  taps: ['block_1/out', 'block_2/out', 'block_3/out'],
  width: 4,
  heads: 2,
  hidden: 6,
  seed: 3,
};
const X = (samples = 4) => tf.randomUniform([samples, TOKENS, WIDTH], -1, 1, 'float32', 7);
const Y = (samples = 4) => tf.randomUniform([samples, CLASSES], -1, 1, 'float32', 8);

function stir(variables: tf.Variable[]): void {
  for (const [i, variable] of variables.entries())
    tf.tidy(() =>
      variable.assign(tf.add(variable, tf.randomNormal(variable.shape, 0, 0.3, 'float32', i + 1))),
    );
}

test('at the start the outputs are the model’s own, then other ones, and its own again', async () => {
  const model = await graph().load();
  const [x, before] = [X(), tf.memory().numTensors];
  const stock = await run(model, x);
  const side = await attachSideNetwork(model, CONFIG);
  expect(await run(model, x)).toEqual(stock);
  stir(side.trainableVariables());
  const moved = await run(model, x);
  expect(largestDifference(moved, stock)).toBeGreaterThan(0.01);
  const [tap] = tf.tidy(() => [model.execute(x, 'block_2/out') as tf.Tensor]);
  expect(tap!.shape).toEqual([4, TOKENS, WIDTH]);
  side.disable();
  expect(await run(model, x)).toEqual(stock);
  side.enable();
  expect(await run(model, x)).toEqual(moved);
  side.remove();
  expect(await run(model, x)).toEqual(stock);
  tap!.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

test('a trainer trains the network alone, and lowers the loss', async () => {
  const model = await graph().load();
  const side = await attachSideNetwork(model, CONFIG);
  const weights = Object.values(model.weights).flat();
  const before = weights.map((weight) => weight.dataSync());
  const training = trainer(model, {loss: 'meanSquaredError', optimizer: tf.train.adam(0.02)});
  expect(training.preflight()).toEqual([]);
  expect(training.trainableVariables()).toHaveLength(side.trainableVariables().length);
  const [xs, ys] = [X(12), tf.ones([12, CLASSES])];
  const {history} = await training.fit({xs, ys}, {epochs: 6, batchSize: 6, seed: 1, verbose: 0});
  const losses = history.loss as number[];
  expect(losses.at(-1)!).toBeLessThan(0.8 * losses[0]!);
  expect(weights.map((weight) => weight.dataSync())).toEqual(before);
  // What was trained is what the model computes.
  const mine = (await training.predict(xs)) as tf.Tensor;
  expect(largestDifference(mine.dataSync(), await run(model, xs))).toBeLessThan(1e-6);
  // The front can be run once for each sample, and what it gave be fed instead.
  const names = training.crossing;
  const kept = [model.execute(xs, names)].flat() as tf.Tensor[];
  const fed = Object.fromEntries(names.map((name, i) => [name, kept[i]!]));
  const same = (await training.predict(fed)) as tf.Tensor;
  expect(same.dataSync()).toEqual(mine.dataSync());
  training.dispose();
});

test('its gradients are those of finite differences', async () => {
  const model = await graph().load();
  const side = await attachSideNetwork(model, {...CONFIG, combine: 'lst', experts: 2});
  stir(side.trainableVariables());
  const [x, y] = [X(), Y()];
  const training = trainer(model);
  const loss = (outputs: tf.Tensor | tf.Tensor[]) =>
    tf.mean(tf.squaredDifference(outputs as tf.Tensor, y)) as tf.Scalar;
  const {grads} = await training.gradients(x, loss);
  for (const variable of side.trainableVariables()) {
    const gradient = grads[variable.name]!;
    const size = tf.norm(gradient).dataSync()[0]!;
    if (size < 1e-4) continue;
    // Along the gradient itself, where the loss changes most.
    const start = variable.clone();
    const at = async (step: number) => {
      variable.assign(tf.add(start, tf.mul(gradient, step / size)));
      return loss((await training.predict(x)) as tf.Tensor).dataSync()[0]!;
    };
    const slope = ((await at(5e-3)) - (await at(-5e-3))) / 1e-2;
    variable.assign(start);
    expect(Math.abs(slope - size)).toBeLessThan(0.05 * size + 1e-4);
  }
});

test('nothing of the base in front is on the tape, and a step takes less memory than with LoRA', async () => {
  const step = async (blocks: number, make: (model: GraphModel) => Promise<unknown>) => {
    const model = await graph(blocks).load();
    await make(model);
    const training = trainer(model);
    let recorded: string[] = [];
    const [x, y] = [X(64), Y(64)];
    const known = tf.memory().numBytes;
    const {peakBytes} = await tf.profile(async () => {
      const {value, grads} = await training.gradients(x, (outputs) => {
        recorded = tf.engine().state.activeTape!.map(({kernelName}) => kernelName);
        return tf.mean(tf.squaredDifference(outputs as tf.Tensor, y)) as tf.Scalar;
      });
      tf.dispose([value, grads]);
    });
    return {recorded, held: peakBytes - known};
  };
  const side = (blocks: number) => (model: GraphModel) =>
    attachSideNetwork(model, {
      ...CONFIG,
      taps: ['block_1/out', `block_${blocks}/out`],
      heads: 1,
      experts: 2,
    });
  const [shallow, tall] = [await step(3, side(3)), await step(24, side(24))];
  expect(tall.recorded).toEqual(shallow.recorded);
  expect(tall.recorded).not.toContain('Tanh');
  expect(tall.held).toBeLessThan(1.1 * shallow.held);
  const lora = await step(24, (model) => upgrade(model, {adapter: {type: 'lora', rank: 1}}));
  expect(tall.held).toBeLessThan(0.5 * lora.held);
});

test('an output of the model can be the last tap, and a node can be its mask', async () => {
  const model = await graph(2, {head: false}).load();
  const x = X();
  const stock = await run(model, x);
  const taps = ['block_1/out', 'block_2/out'];
  const side = await attachSideNetwork(model, {...CONFIG, taps, init: 'none'});
  stir(side.trainableVariables());
  const plain = await run(model, x);
  expect(largestDifference(plain, stock)).toBeGreaterThan(0.01);
  side.remove();
  const builder = graph(2, {head: false});
  builder.integers('last', [-1]);
  builder.node('Max', 'largest', ['x', 'last'], {keep_dims: false});
  const relu = builder.output(builder.node('Relu', 'real', ['largest']));
  const masked = await relu.load();
  const other = await attachSideNetwork(masked, {...CONFIG, taps, init: 'none', mask: 'real'});
  stir(other.trainableVariables());
  const shifted = tf.sub(x, tf.tensor3d([0, 0, 0, 2, 2], [1, TOKENS, 1]));
  const [y] = masked.predict(shifted) as tf.Tensor[];
  expect(y!.shape).toEqual([4, TOKENS, WIDTH]);
  // What padding holds changes nothing for the others.
  const again = tf.sub(x, tf.tensor3d([0, 0, 0, 3, 4], [1, TOKENS, 1]));
  const [z] = masked.predict(again) as tf.Tensor[];
  const real = (t: tf.Tensor) => tf.slice(t, [0, 0, 0], [-1, 3, -1]).dataSync();
  expect(largestDifference(real(y!), real(z!))).toBeLessThan(1e-6);
});

test('saved and loaded, it computes the same', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'side-'));
  try {
    const model = await graph().load();
    const side = await attachSideNetwork(model, CONFIG);
    stir(side.trainableVariables());
    const x = X();
    const want = await run(model, x);
    await side.save(folder);
    const other = await graph().load();
    const loaded = await loadSideNetwork(other, folder);
    expect(await run(other, x)).toEqual(want);
    expect(loaded.report()).toMatchObject({
      taps: CONFIG.taps,
      base: 3 * (WIDTH + 1) * WIDTH + WIDTH * CLASSES,
    });
    await expect(loadSideNetwork(await graph(2).load(), folder)).rejects.toThrow(/no node 'block_3\/out'/);
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
});

test('the network goes with the model, and there is but one', async () => {
  const before = tf.memory().numTensors;
  const model = await graph().load();
  const side = await attachSideNetwork(model, CONFIG);
  await expect(upgrade(model, {adapter: {type: 'lora'}})).rejects.toThrow(/has a side network/);
  await expect(attachSideNetwork(model, CONFIG)).rejects.toThrow(/has a side network/);
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(() => side.report()).toThrow(/disposed/);
});

test.each<[string, GraphSideConfig, RegExp]>([
  [
    'an unknown node',
    {taps: ['block_1', 'head']},
    /no node 'block_1'.*Use the name of one: 'block_1\/MatMul'/,
  ],
  ['a constant', {taps: ['block_1/out', 'block_1/bias']}, /no node 'block_1\/bias' that computes/],
  ['an input as the last', {taps: ['block_1/out', 'x']}, /'x', the last tap, is an input/],
  ['their order', {taps: ['block_2/out', 'block_1/out']}, /'block_2\/out' is not in front of the last tap/],
  [
    'an example that does not fit',
    {...CONFIG, example: tf.ones([2, 3])},
    /does not run with it .*Set example/,
  ],
  ['a mask behind', {...CONFIG, mask: 'head'}, /mask: it is behind the last tap/],
])('%s: an error, and the model is unchanged', async (_what, config, message) => {
  const model = await graph().load();
  const x = X();
  const stock = await run(model, x);
  const tensors = tf.memory().numTensors;
  await expect(attachSideNetwork(model, config)).rejects.toThrow(message);
  expect(tf.memory().numTensors).toBe(tensors);
  expect(await run(model, x)).toEqual(stock);
});
