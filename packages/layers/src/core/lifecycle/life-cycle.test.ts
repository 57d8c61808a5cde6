import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import {
  type AdapterConfig,
  adapterShapes,
  countTrainable,
  loadPeft,
  type PeftLayer,
  type ReportSite,
  type SiteDims,
  type SiteInfo,
  upgrade,
} from '../../index.js';
import {
  ADAPTERS,
  compile,
  copy,
  expectUnchanged,
  fingerprint,
  MODELS,
  predict,
  SITE_MODELS,
  scalesOnly,
  snapshot,
  train,
} from '../../testing/models.js';
import {mapModel} from '../tfjs/model-map.js';

/** The life of an adapter, over every adapter and every kind of model. */
const cases = ADAPTERS.flatMap((adapter) =>
  [...Object.entries(MODELS), ...Object.entries(SITE_MODELS)].map(([model, make]) => ({
    label: JSON.stringify(adapter),
    type: adapter.type,
    adapter,
    model,
    make,
    ...(Object.hasOwn(SITE_MODELS, model) && {targets: allThatTake(adapter)}),
  })),
);

/** Every site that an adapter can act at, a depthwise convolution's output being for scales alone. */
function allThatTake(adapter: AdapterConfig): (site: SiteInfo) => boolean {
  const scales = scalesOnly(adapter);
  return ({kind}) => kind !== 'other' && (scales || kind !== 'depthwiseConv2d');
}

let folder: string;

beforeAll(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'peft-'));
});

afterAll(() => rm(folder, {recursive: true}));

describe.each(cases)('$label in $model', ({adapter, model: kind, make, targets}) => {
  const where = targets && {targets};

  test('starts as the stock model, and is it when disabled', async () => {
    const model = make();
    const stock = await predict(model);
    const peft = await upgrade(model, {adapter, seed: 3, ...where});
    const largest = Math.max(...stock.map(Math.abs));
    const start = await predict(model);
    expect(Math.max(...start.map((value, i) => Math.abs(value - stock[i]!)))).toBeLessThanOrEqual(
      1e-6 * largest,
    );
    compile(model);
    await train(model);
    const trained = await predict(model);
    expect(trained).not.toEqual(start);
    peft.disable();
    expect(await predict(model)).toEqual(stock);
    peft.enable();
    expect(await predict(model)).toEqual(trained);
    peft.detach();
    expect(await predict(model)).toEqual(stock);
  });

  test('trains its own weights and no others, also after model.trainable = true', async () => {
    const model = make();
    const base = new Map(snapshot(model).map((weight) => [weight.id, weight]));
    const peft = await upgrade(model, {adapter, seed: 3, ...where});
    const own = peft.trainableVariables();
    const report = peft.report();
    expect(own.reduce((sum, {size}) => sum + size, 0)).toBe(report.trainable);
    const sites = report.sites.filter(({status}) => status === 'adapted');
    const dimsOf = ({name, shape}: ReportSite): SiteDims =>
      targets === undefined
        ? {inputDim: shape![0], outputDim: shape![1]}
        : (mapModel(model).layers.find(({path}) => path === name)!.layer as PeftLayer).dims;
    expect(report.trainable).toBe(
      sites.reduce((sum, site) => sum + countTrainable(adapter, dimsOf(site)), 0),
    );
    for (const touch of [() => {}, () => (model.trainable = true), () => (model.trainable = false)]) {
      touch();
      model.trainable = true;
      compile(model, tf.train.adam(0.01));
      const [first, ...rest] = await train(model, 6);
      expect(rest.at(-1)).toBeLessThan(first!);
      expect(peft.trainableVariables().map(({id}) => id)).toEqual(own.map(({id}) => id));
      const now = snapshot(model).filter(({id}) => base.has(id));
      expect(now.length).toBe(base.size);
      for (const weight of now) expect(weight).toEqual({...base.get(weight.id), trainable: false});
      // Without a list of variables, minimize trains whatever is marked as trainable.
      expect(snapshot(model).filter(({trainable}) => trainable)).toHaveLength(own.length);
    }
  });

  test('gives back the very same layers and tensors', async () => {
    const model = make();
    model.layers.at(-1)!.trainable = false;
    const before = fingerprint(model);
    const memory = tf.memory();
    const peft = await upgrade(model, {adapter, ...where});
    await predict(model);
    peft.detach();
    expectUnchanged(model, before);
    expect(tf.memory().numTensors).toBe(memory.numTensors);
    expect(tf.memory().numBytes).toBe(memory.numBytes);
  });

  test('goes through files into a fresh copy of the base', async () => {
    const model = make();
    const fresh = [make(), make()] as const;
    const peft = await upgrade(model, {adapter, seed: 5, name: 'a/b.c "d"', ...where});
    compile(model, tf.train.adam(0.01));
    await train(model);
    const place = join(folder, `${ADAPTERS.indexOf(adapter)}-${kind}`);
    const saved = await peft.save(`file://${place}`);
    const {trainable, total, base} = peft.report();
    expect(saved.bytes).toBe(4 * (total - base));
    if (adapterShapes(adapter, {inputDim: 4, outputDim: 4}).every((weight) => weight.trainable))
      expect(total - base).toBe(trainable);
    expect((await readdir(place)).sort()).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
    ]);
    const loaded = await loadPeft(fresh[0], place);
    expect(loaded.names).toEqual(['a/b.c "d"']);
    expect(await predict(fresh[0])).toEqual(await predict(model));
    const other = await upgrade(fresh[1], {adapter, name: 'mine', seed: 6, ...where});
    await other.load(place, {name: 'mine'});
    expect(await predict(fresh[1])).toEqual(await predict(model));
  });

  // tfjs itself cannot load a model of which two models inside each other list one layer.
  const whole = kind === 'reused' ? () => {} : test;
  whole('is saved and loaded with the whole model', async () => {
    const model = make();
    await upgrade(model, {adapter, seed: 5, ...where});
    compile(model, tf.train.adam(0.01));
    await train(model);
    const lines: string[] = [];
    model.summary(undefined, undefined, (line) => lines.push(line as string));
    expect(lines.join('\n')).toContain(kind === 'timeDistributed' ? 'TimeDistributed' : 'PeftDense');
    const again = await copy(model);
    // A loaded model is not upgraded, and so lists its weights in the order of training.
    const names = ({weights}: tfl.LayersModel) => weights.map(({originalName}) => originalName).sort();
    expect(names(again)).toEqual(names(model));
    expect(again.trainableWeights.map(({originalName}) => originalName)).toEqual(
      model.trainableWeights.map(({originalName}) => originalName),
    );
    // Not bit for bit: a loaded model is not upgraded, so its LayerNormalization is not the one
    // kernel that an upgrade makes of it.
    const [loaded, saved] = [await predict(again), await predict(model)];
    expect(loaded.length).toBe(saved.length);
    loaded.forEach((value, i) => {
      expect(Math.abs(value - saved[i]!)).toBeLessThan(kind === 'normalized' ? 1e-6 : Number.MIN_VALUE);
    });
  });

  test('leaks nothing over steps and cycles', async () => {
    const model = make();
    compile(model, 'sgd');
    await train(model, 1);
    const before = fingerprint(model);
    const start = tf.memory();
    for (let cycle = 0; cycle < 20; cycle++) {
      const peft = await upgrade(model, {adapter, ...where});
      if (cycle === 0) {
        await train(model, 1);
        const memory = tf.memory();
        // Two steps an epoch; TimeDistributed goes slice by slice, and slowly.
        await train(model, ['timeDistributed', 'reused', 'text', 'images'].includes(kind) ? 8 : 50);
        expect(tf.memory().numTensors).toBe(memory.numTensors);
        expect(tf.memory().numBytes).toBe(memory.numBytes);
      }
      peft.disable();
      peft.enable();
      peft.detach();
    }
    expectUnchanged(model, before);
    expect(tf.memory().numTensors).toBe(start.numTensors);
    expect(tf.memory().numBytes).toBe(start.numBytes);
  });
});
