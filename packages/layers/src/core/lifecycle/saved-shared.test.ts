import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {ConfigError, WeightMismatchError} from '@tfjs-peft/kernels';
import {type AnyPeft, loadPeft, type PeftLayer, readSafetensors, upgrade} from '../../graph.js';
import {DIALECTS, X_SHAPE} from '../../graph-model/testing/graphs.js';
import {fill, memory, run} from '../../graph-model/testing/run.js';
import {expectUnchanged, fingerprint} from '../../testing/models.js';
import type {AdapterFile, WeightValues} from '../io/adapter-file.js';
import {digest} from '../io/storage.js';

const adapter = {type: 'vera', rank: 3, saveProjection: true} as const;
const plain = {type: 'vera', rank: 3} as const;

/** [inputDim, outputDim] of the sites is [2, 5], [5, 3] and [3, 4]: none is the largest in both. */
function chain(): tfl.Sequential {
  const dense = (units: number, more: object = {}) =>
    tfl.layers.dense({
      units,
      name: `to_${units}`,
      kernelInitializer: tfl.initializers.randomNormal({seed: units}),
      ...more,
    });
  return tfl.sequential({layers: [dense(5, {inputShape: [2]}), dense(3), dense(4)]});
}

const x = () => tf.tensor2d([[1, -0.5]]);
const outputs = (model: tfl.LayersModel) => (model.predict(x()) as tf.Tensor).dataSync();
const graphInput = () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);

async function upgraded(config: object = adapter) {
  const model = chain();
  const peft = await upgrade(model, {adapter: config as typeof adapter, targets: [/to_/]});
  fill(peft);
  return {model, peft};
}

async function artifactsOf(peft: AnyPeft): Promise<tf.io.ModelArtifacts> {
  const place = memory();
  await peft.save(place);
  return place.load();
}

type Change = (file: AdapterFile, weights: Map<string, WeightValues>) => void;

/** The same file, changed as one that knows how its hash is made would do it. */
async function changed(artifacts: tf.io.ModelArtifacts, change: Change) {
  const file = structuredClone(artifacts.modelTopology) as AdapterFile;
  const weights = new Map<string, WeightValues>();
  let at = 0;
  for (const {name, shape} of artifacts.weightSpecs!) {
    const end = at + 4 * tf.util.sizeFromShape(shape);
    const values = new Float32Array((artifacts.weightData as ArrayBuffer).slice(at, end));
    weights.set(name, {shape, values});
    at = end;
  }
  change(file, weights);
  file.weightsSha256 = await digest(weights);
  return {
    load: async () => ({
      modelTopology: file,
      weightSpecs: [...weights].map(([name, {shape}]) => ({name, shape, dtype: 'float32' as const})),
      weightData: tf.io.concatenateArrayBuffers(
        [...weights.values()].map(({values}) => values.slice().buffer as ArrayBuffer),
      ),
    }),
  };
}

/** As another generator of random numbers would have drawn them. */
const redraw: Change = (_file, weights) => {
  for (const key of ['shared:vera_A', 'shared:vera_B']) {
    const {values} = weights.get(key)!;
    values.forEach((_, i) => {
      values[i] = Math.sin(i + 1);
    });
  }
};

/** Part [rows, columns] of a matrix as {@link redraw} made it. */
const redrawn = (rows: number, columns: number, of: number) =>
  Float32Array.from({length: rows * columns}, (_, i) => {
    const at = Math.floor(i / columns) * of + (i % columns);
    return Math.sin(at + 1);
  });

const valuesIn = ({weightSpecs, weightData}: tf.io.ModelArtifacts, key: string) => {
  let at = 0;
  for (const {name, shape} of weightSpecs!) {
    const size = tf.util.sizeFromShape(shape);
    if (name === key) return new Float32Array((weightData as ArrayBuffer).slice(at, at + 4 * size));
    at += 4 * size;
  }
  throw new Error(`no ${key}`);
};

let root: string;
beforeAll(async () => {
  await tf.setBackend('cpu');
  root = mkdtempSync(join(tmpdir(), 'peft-shared-'));
});
afterAll(() => rmSync(root, {recursive: true}));

test('a file has each of them once, whole; without the option it has none', async () => {
  const trained = 3 * 3 + 5 + 3 + 4;
  const {peft} = await upgraded();
  const result = await peft.save(join(root, 'saved'));
  expect(result.tensors).toBe(3 * 2 + 2);
  expect(result.bytes).toBe(4 * (trained + 5 * 3 + 3 * 5));
  const {tensors} = readSafetensors(readFileSync(join(root, 'saved/adapter_model.safetensors')));
  const shared = [...tensors].filter(([key]) => !key.startsWith('to_'));
  expect(shared.map(([key, {shape}]) => [key, shape])).toEqual([
    ['shared:vera_A', [5, 3]],
    ['shared:vera_B', [3, 5]],
  ]);
  const without = await (await upgraded(plain)).peft.save(join(root, 'plain'));
  expect(without).toMatchObject({tensors: 3 * 2, bytes: 4 * trained});
});

test('training leaves them alone, and report counts what is trained', async () => {
  const [{peft, model}, {peft: other}] = [await upgraded(), await upgraded(plain)];
  expect(peft.report().trainable).toBe(other.report().trainable);
  expect(peft.trainableVariables()).toHaveLength(6);
  expect(model.trainableWeights).toHaveLength(6);
});

test('a LayersModel takes the file’s values, not those of the seed, and passes them on', async () => {
  const {model, peft} = await upgraded();
  const stored = await artifactsOf(peft);
  const place = await changed(stored, redraw);
  const fresh = chain();
  const loaded = await loadPeft(fresh, place);
  expect(outputs(fresh)).not.toEqual(outputs(model));
  const {site} = fresh.layers[2] as unknown as PeftLayer;
  const parts = site.sharedOf('default');
  expect(parts.get('vera_A')!.read().dataSync()).toEqual(redrawn(3, 3, 3));
  expect(parts.get('vera_B')!.read().dataSync()).toEqual(redrawn(3, 4, 5));

  // To a file of the adapter, and of the whole model.
  const again = await artifactsOf(loaded);
  for (const key of ['shared:vera_A', 'shared:vera_B']) {
    expect(valuesIn(again, key)).toEqual(valuesIn(await place.load(), key));
  }
  const whole = memory();
  await fresh.save(whole);
  const copy = await tfl.loadLayersModel(whole);
  expect(outputs(copy)).toEqual(outputs(fresh));

  // Into an adapter that is there already.
  await peft.load(place);
  expect(outputs(model)).toEqual(outputs(fresh));
  await peft.load(await changed(stored, () => {}));
  expect(valuesIn(await artifactsOf(peft), 'shared:vera_A')).toEqual(valuesIn(stored, 'shared:vera_A'));
});

test('all goes with the adapter', async () => {
  const place = await changed(await artifactsOf((await upgraded()).peft), redraw);
  const model = chain();
  const before = tf.memory().numTensors;
  const peft = await loadPeft(model, place);
  await peft.load(place);
  const held = tf.memory().numTensors;
  await peft.load(place);
  expect(tf.memory().numTensors).toBe(held);
  peft.detach();
  expect(tf.memory().numTensors).toBe(before);
});

test('a GraphModel does the same', async () => {
  const model = await DIALECTS.fused!().load();
  const peft = await upgrade(model, {adapter});
  fill(peft);
  const stored = await artifactsOf(peft);
  const sites = (stored.modelTopology as AdapterFile).sites.length;
  expect(sites).toBeGreaterThan(1);
  expect(stored.weightSpecs).toHaveLength(2 * sites + 2);
  const place = await changed(stored, redraw);
  const fresh = await DIALECTS.fused!().load();
  const loaded = await loadPeft(fresh, place);
  const expected = await run(fresh, graphInput());
  expect(expected).not.toEqual(await run(model, graphInput()));
  expect(valuesIn(await artifactsOf(loaded), 'shared:vera_A')).toEqual(
    valuesIn(await place.load(), 'shared:vera_A'),
  );
  await peft.load(place);
  expect(await run(model, graphInput())).toEqual(expected);
  const whole = memory();
  await loaded.saveModel(whole);
  expect(await run(await loadGraphModel(whole), graphInput())).toEqual(expected);
});

test('sites that a file names otherwise get them too', async () => {
  const place = await changed(await artifactsOf((await upgraded()).peft), redraw);
  const other = tfl.sequential({
    layers: chain().layers.map(({name}, i) =>
      tfl.layers.dense({units: [5, 3, 4][i]!, name: `${name}_x`, ...(i === 0 && {inputShape: [2]})}),
    ),
  });
  await loadPeft(other, place, {rename: (name) => `${name}_x`, ignoreBase: true});
  const {site} = other.layers[1] as unknown as PeftLayer;
  expect(site.sharedOf('default').get('vera_B')!.read().dataSync()).toEqual(redrawn(3, 3, 5));
});

test.each<[string, Change, RegExp]>([
  ['lacks one', (_file, weights) => weights.delete('shared:vera_A'), /'shared:vera_A' is missing/],
  [
    'has one of another shape',
    (_file, weights) => weights.set('shared:vera_A', {shape: [3, 5], values: new Float32Array(15)}),
    /'shared:vera_A' has shape \[3,5\], but must have \[5,3\]/,
  ],
  [
    'has one more',
    (_file, weights) => weights.set('shared:more', {shape: [1], values: new Float32Array(1)}),
    /'shared:more' is not expected/,
  ],
  [
    'speaks of one more',
    (file, weights) => {
      file.shared!.push({name: 'more', shape: [1], saved: true});
      weights.set('shared:more', {shape: [1], values: new Float32Array(1)});
    },
    /the adapter has no shared weight 'more'/,
  ],
  [
    'has one too small for its sites',
    (file, weights) => {
      file.shared![0]!.shape = [4, 3];
      weights.set('shared:vera_A', {shape: [4, 3], values: new Float32Array(12)});
    },
    /'vera_A' is \[4,3\] in the file, but must hold \[5,3\]/,
  ],
  [
    'has not saved what its adapter saves',
    (file, weights) => {
      delete file.shared![0]!.saved;
      weights.delete('shared:vera_A');
    },
    /the adapter saves the shared weight 'vera_A', but the file has no values of it/,
  ],
  [
    'has saved what its adapter draws',
    (file) => Object.assign(file.adapter, {saveProjection: false}),
    /the adapter does not save the shared weight 'vera_A', but the file has values of it/,
  ],
  [
    'has a value that is not finite',
    (_file, weights) => {
      weights.get('shared:vera_B')!.values[4] = Number.NaN;
    },
    /'shared:vera_B' has NaN at position 4/,
  ],
])('a file that %s is refused, and nothing changes', async (_what, change, message) => {
  const place = await changed(await artifactsOf((await upgraded()).peft), change);
  const model = chain();
  const before = fingerprint(model);
  const tensors = tf.memory().numTensors;
  await expect(loadPeft(model, place)).rejects.toThrow(message);
  await expect(loadPeft(model, place)).rejects.toThrow(WeightMismatchError);
  expectUnchanged(model, before);
  expect(tf.memory().numTensors).toBe(tensors);
  const {peft} = await upgraded();
  const own = await artifactsOf(peft);
  await expect(peft.load(place)).rejects.toThrow(WeightMismatchError);
  expect((await artifactsOf(peft)).weightData).toEqual(own.weightData);
});

test.each<[string, Change, RegExp]>([
  ['twice', (file) => file.shared!.push({...file.shared![0]!}), /free of names that come twice/],
  [
    'with a mark of another kind',
    (file) => Object.assign(file.shared![0]!, {saved: 'yes'}),
    /shared must be a list of names and shapes/,
  ],
])('a config that names one %s is refused', async (_what, change, message) => {
  const place = await changed(await artifactsOf((await upgraded()).peft), change);
  await expect(loadPeft(chain(), place)).rejects.toThrow(message);
  await expect(loadPeft(chain(), place)).rejects.toThrow(ConfigError);
});

test('a shape that a file claims asks for no memory that the file does not have', async () => {
  const place = await changed(await artifactsOf((await upgraded()).peft), (file) => {
    file.shared![0]!.shape = [2 ** 20, 2 ** 20];
  });
  await expect(loadPeft(chain(), place)).rejects.toThrow(/must have \[1048576,1048576\]/);
});

test.each([{projectionPrngKey: 1}, {saveProjection: false}])(
  'sites cannot differ in what a file has once: %j',
  async (other) => {
    const model = chain();
    const overrides = [{targets: ['to_3'], adapter: other}];
    const config = {adapter, targets: [/to_/], overrides};
    await expect(upgrade(model, config)).rejects.toThrow(ConfigError);
    await expect(upgrade(model, config)).rejects.toThrow(/'vera_A' different seeds, or only some save it/);
    // What is not saved may differ.
    await upgrade(model, {
      adapter: plain,
      targets: [/to_/],
      overrides: [{targets: ['to_3'], adapter: {projectionPrngKey: 1}}],
    });
  },
);
