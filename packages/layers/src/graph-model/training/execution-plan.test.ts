import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/gradients';
import '@tfjs-peft/kernels/wasm-training';
import type {GraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type Peft, trainer, upgrade} from '../../graph.js';
import {executorOf} from '../internals.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';
import {FORMS, normed} from '../testing/layer-norms.js';
import {close, fill} from '../testing/run.js';

const X = () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 3);
const loss = (y: tf.Tensor | tf.Tensor[]) => tf.sum(tf.pow(tf.add(y as tf.Tensor, 0.5), 3)) as tf.Scalar;

async function upgraded(model: GraphModel): Promise<Peft<GraphModel>> {
  const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, seed: 1});
  fill(peft);
  return peft;
}

/**
 * Checks what a trainer computes against tfjs's own executor, node by node, and tells which kernels it took.
 */
async function compare(model: GraphModel, variables: tf.Variable[]): Promise<string[]> {
  const x = X();
  const own = trainer(model);
  const [mine, stock] = [await own.predict(x), model.predict(x)].map(
    (y) => (y as tf.Tensor).dataSync() as Float32Array,
  );
  close(mine!, stock!);
  const want = tf.variableGrads(() => loss(model.predict(x) as tf.Tensor), variables);
  let got: tf.NamedTensorMap = {};
  const {kernels} = await tf.profile(async () => {
    got = (await own.gradients(x, loss)).grads;
    return [];
  });
  expect(Object.keys(got).sort()).toEqual(Object.keys(want.grads).sort());
  for (const [name, grad] of Object.entries(got)) {
    const values = want.grads[name]!.dataSync() as Float32Array;
    expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(1e-3);
    close(grad.dataSync() as Float32Array, values, 1e-5 * Math.max(1, ...values.map(Math.abs)));
  }
  own.dispose();
  return kernels.map(({name}) => name);
}

describe.each(['cpu', 'wasm'])('a layer norm in several nodes, on %s', (backend) => {
  beforeEach(() => tf.setBackend(backend));

  it.each(Object.keys(FORMS))('is one kernel with the same gradients, as %s has it', async (form) => {
    const model = await normed(form).load();
    const before = (model.predict(X()) as tf.Tensor).dataSync();
    const ops = () => Object.values(executorOf(model).graph.nodes).map(({op, category}) => [op, category]);
    const stock = ops();
    const peft = await upgraded(model);
    const adapted = ops();
    const kernels = await compare(model, peft.trainableVariables());
    expect(kernels.filter((name) => name === 'PeftLayerNorm')).toHaveLength(1);
    expect(kernels.filter((name) => ['Rsqrt', 'Sqrt', 'Mean'].includes(name))).toEqual([]);
    expect(ops()).toEqual(adapted);
    peft.detach();
    expect(ops()).toEqual(stock);
    expect((model.predict(X()) as tf.Tensor).dataSync()).toEqual(before);
  });

  it('is left alone where a node between is used elsewhere', async () => {
    const model = await normed('Keras', {also: 'mul'}).load();
    const peft = await upgraded(model);
    expect(await compare(model, peft.trainableVariables())).not.toContain('PeftLayerNorm');
  });

  it('over another axis than the last has the same gradients', async () => {
    const model = await normed('TensorFlow 1', {axis: 1}).load();
    const peft = await upgraded(model);
    expect(await compare(model, peft.trainableVariables())).not.toContain('PeftLayerNorm');
  });

  it('has the gradient of a gamma that is trained', async () => {
    const model = await normed('Keras 3').load();
    const peft = await upgraded(model);
    const {weightMap} = executorOf(model);
    const gamma = tf.variable(weightMap.gamma![0]!);
    weightMap.gamma = [gamma];
    const kernels = await compare(model, [...peft.trainableVariables(), gamma]);
    expect(kernels).toContain('PeftLayerNorm');
    weightMap.gamma = [tf.tensor1d([1, 1, 1, 1])];
    gamma.dispose();
  });
});

describe('the nodes of a graph that are trained', () => {
  beforeEach(() => tf.setBackend('cpu'));

  it('are seen from outside if they are asked for', async () => {
    const model = await normed('Keras').load();
    await upgraded(model);
    const own = trainer(model, {outputs: ['rsqrt', 'y']});
    const want = model.execute(X(), ['rsqrt', 'y']) as tf.Tensor[];
    let got: tf.Tensor[] = [];
    const {kernelNames} = await tf.profile(async () => {
      got = (await own.predict(X())) as tf.Tensor[];
      return [];
    });
    expect(kernelNames).not.toContain('PeftLayerNorm');
    got.forEach((y, i) => {
      close(y.dataSync() as Float32Array, want[i]!.dataSync() as Float32Array);
    });
    own.dispose();
  });

  it.each(Object.keys(DIALECTS))(
    'give what they give without an adapter while it is off, in %s',
    async (dialect) => {
      const model = await DIALECTS[dialect]!().load();
      const stock = (model.predict(X()) as tf.Tensor).dataSync();
      const peft = await upgraded(model);
      const adapted = (model.predict(X()) as tf.Tensor).dataSync();
      const own = trainer(model);
      const prepared = await own.prepare(X());
      const outputs = () => (prepared.outputs() as tf.Tensor).dataSync() as Float32Array;
      close(outputs(), adapted as Float32Array);
      peft.disable();
      close(outputs(), stock as Float32Array);
      peft.enable();
      close(outputs(), adapted as Float32Array);
      own.dispose();
      expect(outputs).toThrow(/Prepare it again/);
    },
  );

  it('reshape nothing in front of a site that has its shape already', async () => {
    const model = await DIALECTS.tensordot!().load();
    const peft = await upgraded(model);
    const kernels = await compare(model, peft.trainableVariables());
    // So tfjs calls an op that brings its gradient along, as our reshapes do.
    // One is left, behind the last site.
    expect(kernels.filter((name) => name === 'unnamed scope')).toHaveLength(1);
  });
});
