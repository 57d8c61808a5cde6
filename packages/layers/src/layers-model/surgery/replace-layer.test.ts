import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {internals, type Layer} from '../../core/tfjs/internals.js';
import {mapModel} from '../../core/tfjs/model-map.js';
import {PeftDense, upgrade} from '../../index.js';
import {
  compile,
  copy,
  dense,
  inputsOf,
  MODELS,
  nested,
  predict,
  sequential,
  train,
} from '../../testing/models.js';

const lora = {type: 'lora', rank: 2} as const;

beforeAll(async () => {
  await tf.setBackend('cpu');
});

/** Every layer to which a model, or the graph behind it, refers in some way. */
function referred(model: tfl.LayersModel): Set<Layer> {
  const found = new Set<Layer>();
  const {containers, layers} = mapModel(model);
  for (const {layers, layersByDepth, inputLayers, outputLayers} of containers) {
    for (const list of [layers, inputLayers, outputLayers, ...Object.values(layersByDepth)]) {
      for (const layer of list) found.add(layer);
    }
  }
  for (const {layer} of layers) {
    found.add(layer);
    const {inboundNodes, outboundNodes} = internals(layer);
    for (const node of [...inboundNodes, ...outboundNodes]) {
      for (const part of [
        node.outboundLayer,
        ...node.inboundLayers,
        ...node.outputTensors.map((t) => t.sourceLayer),
      ]) {
        found.add(part);
      }
    }
  }
  return found;
}

const classes = (layers: Iterable<Layer>) => [...layers].map((layer) => layer.getClassName());

test.each(Object.keys(MODELS))(
  'nothing in %s refers to a replaced layer any more, nor to its stand-in later',
  async (kind) => {
    const model = MODELS[kind]!();
    const stock = classes(referred(model)).sort();
    expect(stock).toContain('Dense');
    const peft = await upgrade(model, {adapter: lora});
    const upgraded = classes(referred(model)).sort();
    expect(upgraded).not.toContain('Dense');
    expect(upgraded).toEqual(stock.map((name) => (name === 'Dense' ? 'PeftDense' : name)).sort());
    peft.detach();
    expect(classes(referred(model)).sort()).toEqual(stock);
  },
);

test('kernels and biases are shared, not copied', async () => {
  const model = nested();
  const {numBytes} = tf.memory();
  const peft = await upgrade(model, {adapter: lora});
  expect(tf.memory().numBytes - numBytes).toBe(4 * peft.report().trainable);
});

test('a model built on top of an upgraded one has its adapters, and outlives them', async () => {
  const model = nested();
  const stock = await predict(model);
  const peft = await upgrade(model, {adapter: lora, targets: ['inner']});
  const top = dense('top', 3, 9).apply(model.outputs[0]!) as tfl.SymbolicTensor;
  const larger = tfl.model({inputs: model.inputs, outputs: top});
  expect(larger.layers.map(({name}) => name)).toEqual(['outer_input', 'inner', 'head', 'top']);
  compile(larger);
  const [first, ...rest] = await train(larger, 8);
  expect(rest.at(-1)).toBeLessThan(first!);
  expect(await predict(model)).not.toEqual(stock);
  peft.detach();
  expect(await predict(model)).toEqual(stock);
  expect(await predict(larger)).toHaveLength(15);
});

test('a part of an upgraded model has the adapters of that part', async () => {
  const model = sequential();
  const stock = await predict(model);
  await upgrade(model, {adapter: lora});
  const part = tfl.model({inputs: model.inputs, outputs: model.layers[1]!.output as tfl.SymbolicTensor});
  expect(part.layers.slice(1).every((layer) => layer instanceof PeftDense)).toBe(true);
  expect(part.trainableWeights).toHaveLength(4);
  expect(await predict(model)).toHaveLength(stock.length);
});

test('a Sequential that grows after the upgrade runs and is saved', async () => {
  const model = sequential();
  const peft = await upgrade(model, {adapter: lora});
  model.add(dense('new_head', 3, 7));
  compile(model);
  const [first, ...rest] = await train(model, 8);
  expect(rest.at(-1)).toBeLessThan(first!);
  const again = await copy(model);
  expect(await predict(again)).toEqual(await predict(model));
  // The new layer is the user's; the next upgrade freezes it too.
  await upgrade(model, {adapter: lora, name: 'b', targets: ['new_head']});
  expect(model.trainableWeights.map(({originalName}) => originalName)).toEqual([
    'new_head/b/lora_A',
    'new_head/b/lora_B',
  ]);
  peft.detach();
  expect(classes(model.layers)).toEqual(['Dense', 'Dense', 'Dense', 'Dense']);
  await predict(model);
});

test('a Sequential whose inner model was never built, and one that is used in another model', async () => {
  const model = sequential();
  expect((model as unknown as {model?: unknown}).model).toBeUndefined();
  const peft = await upgrade(model, {adapter: lora});
  const input = tfl.input({shape: [4]});
  const around = tfl.model({inputs: input, outputs: model.apply(input) as tfl.SymbolicTensor});
  const x = inputsOf(around)[0]!;
  const [inside, outside] = [model.predict(x) as tf.Tensor, around.predict(x) as tf.Tensor];
  expect([...outside.dataSync()]).toEqual([...inside.dataSync()]);
  expect(around.trainableWeights).toHaveLength(6);
  peft.detach();
  expect(around.trainableWeights).toHaveLength(5);
});
