import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/cpu';
import '@tfjs-peft/kernels/wasm';
import '@tfjs-peft/kernels/wasm-training';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {type FormatSpec, formatDefinitions} from '@tfjs-peft/quant';
import {storeModel} from '../../core/io/model-folder.js';
import {loadPeft, type Peft, upgrade} from '../../index.js';
import {dequantizeModel, loadQuantized, quantizeModel} from '../../quantize.js';
import {dense, nested, timeDistributed} from '../../testing/models.js';
import {normal} from '../../testing/sites.js';

const FORMATS = formatDefinitions().map(({type}) => type);

/** A text model: a table, and products of odd sizes. */
const model = () =>
  tf.sequential({
    layers: [
      tf.layers.embedding({
        name: 'words',
        inputDim: 21,
        outputDim: 40,
        batchInputShape: [null, 5],
        embeddingsInitializer: tf.initializers.randomNormal({seed: 3}),
      }),
      dense('hidden', 33, 1, {activation: 'relu'}),
      dense('head', 3, 2, {useBias: false}),
    ],
  });

const ids = () => tf.tensor2d([0, 1, 2, 3, 20, 7, 7, 19, 4, 11], [2, 5], 'int32');

/** Keeps what a model saves, and gives it back through JSON, as a file goes. */
async function saved(of: tf.LayersModel, config?: tf.io.SaveConfig): Promise<tf.io.ModelArtifacts> {
  let kept!: tf.io.ModelArtifacts;
  await of.save(
    tf.io.withSaveHandler(async (artifacts) => {
      kept = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
    }),
    config,
  );
  const {weightData, ...json} = kept;
  return {...(JSON.parse(JSON.stringify(json)) as tf.io.ModelArtifacts), weightData: weightData!};
}

const bytesOf = ({weightData}: tf.io.ModelArtifacts): number =>
  tf.io.CompositeArrayBuffer.join(weightData!).byteLength;

const outputs = (of: tf.LayersModel, x: tf.Tensor) => (of.predict(x) as tf.Tensor).dataSync();

describe.each(['cpu', 'wasm'])('on %s', (backend) => {
  beforeAll(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });

  test.each(FORMATS)(
    'a model in %s is saved packed, and loads packed with the same outputs',
    async (type) => {
      const quantised = model();
      const plain = bytesOf(await saved(quantised));
      const {bytesBefore, bytesAfter} = await quantizeModel(quantised, {
        format: {type} as FormatSpec,
        targets: ['words', 'hidden', 'head'],
      });
      const file = await saved(quantised);
      expect(plain - bytesOf(file)).toBeGreaterThan((bytesBefore - bytesAfter) * 0.99);
      const tensors = tf.memory();
      const loaded = (await loadQuantized(tf.io.fromMemory(file))) as tf.LayersModel;
      // As much as the packed one has: nothing is left of the plain weights.
      const bytes = tf.memory().numBytes - tensors.numBytes;
      expect(bytes).toBeLessThanOrEqual(bytesAfter + 4 * 33);
      expect(outputs(loaded, ids())).toEqual(outputs(quantised, ids()));
      expect(loaded.countParams()).toBe(quantised.countParams());
      // Saved again, it is the same file.
      const again = await saved(loaded);
      expect(again.weightSpecs).toEqual(file.weightSpecs);
      expect(tf.io.CompositeArrayBuffer.join(again.weightData!)).toEqual(
        tf.io.CompositeArrayBuffer.join(file.weightData!),
      );
      // And it can be made plain.
      expect(await dequantizeModel(loaded)).toEqual(['words', 'hidden', 'head']);
      expect(bytesOf(await saved(loaded))).toBe(plain);
      loaded.dispose();
    },
  );

  test('adapters go on top, before and after the file', async () => {
    const base = model();
    await quantizeModel(base, {format: 'int4', targets: ['words', 'hidden', 'head']});
    const peft = await upgrade(base, {
      targets: ['hidden', 'head'],
      adapter: {type: 'lora', rank: 2},
      seed: 1,
    });
    base.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const y = normal([2, 5, 3], 4);
    await base.fit(ids(), y, {epochs: 2, verbose: 0});
    const want = outputs(base, ids());
    let adapter!: tf.io.ModelArtifacts;
    const place = tf.io.withSaveHandler(async (artifacts) => {
      adapter = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(0), modelTopologyType: 'JSON'}};
    });
    await peft.save(place);
    const whole = (await loadQuantized(tf.io.fromMemory(await saved(base)))) as tf.LayersModel;
    expect(outputs(whole, ids())).toEqual(want);
    // The base alone, with the adapter from its own file: the hash is that of the codes' numbers.
    peft.detach();
    const bare = (await loadQuantized(tf.io.fromMemory(await saved(base)))) as tf.LayersModel;
    const loaded: Peft = await loadPeft(bare, tf.io.fromMemory(adapter));
    expect(outputs(bare, ids())).toEqual(want);
    bare.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const {history} = await bare.fit(ids(), y, {epochs: 5, verbose: 0});
    expect((history.loss as number[]).at(-1)).toBeLessThan((history.loss as number[])[0]!);
    loaded.detach();
  });
});

describe('files', () => {
  let root: string;
  beforeAll(async () => {
    await tf.setBackend('cpu');
    root = mkdtempSync(join(tmpdir(), 'peft-quantised-'));
  });
  afterAll(() => rmSync(root, {recursive: true}));

  test('a folder loads, by its name or that of its model.json', async () => {
    const quantised = model();
    await quantizeModel(quantised, {format: {type: 'int4', group: 16}});
    const place = join(root, 'model');
    await storeModel(place, await saved(quantised));
    for (const from of [place, `file://${place}`, join(place, 'model.json')]) {
      const loaded = (await loadQuantized(from)) as tf.LayersModel;
      expect(outputs(loaded, ids())).toEqual(outputs(quantised, ids()));
    }
    writeFileSync(join(place, 'model.json'), '{"modelTopology": {}}');
    await expect(loadQuantized(place)).rejects.toThrow(/is not the model.json of a model with weights/);
    writeFileSync(join(place, 'model.json'), '<html>');
    await expect(loadQuantized(place)).rejects.toThrow(/is not JSON/);
    const escaping = {modelTopology: {}, weightsManifest: [{paths: ['../x.bin'], weights: []}]};
    writeFileSync(join(place, 'model.json'), JSON.stringify(escaping));
    await expect(loadQuantized(place)).rejects.toThrow(/'\.\.\/x\.bin' is not the name of a file/);
    await expect(loadQuantized(join(root, 'nowhere'))).rejects.toThrow(/Cannot read/);
  });

  test('nested models and wrapped layers keep their packed weights', async () => {
    for (const make of [() => nested(), timeDistributed]) {
      const quantised = make();
      await quantizeModel(quantised, {format: 'int8', targets: 'all-dense'});
      const loaded = (await loadQuantized(tf.io.fromMemory(await saved(quantised)))) as tf.LayersModel;
      const x = normal([2, ...(quantised.inputs[0]!.shape.slice(1) as number[])], 5);
      expect(outputs(loaded, x)).toEqual(outputs(quantised, x));
    }
  });

  test("an optimizer's state and metadata go along, and weights that train alone go without the packed ones", async () => {
    const quantised = model();
    await quantizeModel(quantised, {format: 'int8', targets: ['words', 'hidden']});
    quantised.compile({optimizer: 'adam', loss: 'meanSquaredError'});
    quantised.setUserDefinedMetadata({version: 3});
    await quantised.fit(ids(), normal([2, 5, 3], 4), {epochs: 1, verbose: 0});
    const file = await saved(quantised, {includeOptimizer: true});
    const loaded = (await loadQuantized(tf.io.fromMemory(file))) as tf.LayersModel;
    expect(loaded.getUserDefinedMetadata()).toEqual({version: 3});
    expect(loaded.optimizer.getConfig()).toEqual(quantised.optimizer.getConfig());
    const {weightSpecs} = await saved(quantised, {trainableOnly: true});
    expect(weightSpecs!.map(({name}) => name)).toEqual(['hidden/bias', 'head/kernel']);
  });

  test('stock tfjs refuses the file, and says what loads it', async () => {
    const quantised = model();
    await quantizeModel(quantised, {format: 'int8'});
    await expect(tf.loadLayersModel(tf.io.fromMemory(await saved(quantised)))).rejects.toThrow(
      /hidden\/kernel:codes \(packed: loadQuantized of @tfjs-peft\/layers\/quantize\)/,
    );
    await expect(loadQuantized(tf.io.fromMemory(await saved(model())))).rejects.toThrow(
      /has no packed weights/,
    );
  });

  type Topology = {tfjsPeftPacked: Record<string, unknown>[]};

  test.each<[string, (file: tf.io.ModelArtifacts, records: Topology['tfjsPeftPacked']) => void, RegExp]>([
    [
      'cut off',
      (file) => (file.weightData = tf.io.CompositeArrayBuffer.join(file.weightData!).slice(0, -8)),
      /is cut off/,
    ],
    ['no list', (file) => Object.assign(file.modelTopology!, {tfjsPeftPacked: 7}), /is 7, not a list/],
    ['no entry', (_, records) => records.push(null as never), /an entry is null/],
    ['a name twice', (_, records) => records.push({...records[0]}), /has no parts/],
    [
      'a huge shape',
      (_, records) => (records[0]!.shape = [2 ** 24, 2 ** 28]),
      /shape is \[16777216,268435456\]/,
    ],
    ['another shape', (_, records) => (records[0]!.shape = [40, 32]), /unitColumns is 33/],
    ['another width', (_, records) => (records[0]!.bits = 3), /codes has .* bytes, but the grid needs/],
    ['no width', (_, records) => (records[0]!.bits = 5), /bits is 5/],
    [
      'another place',
      (_, records) => (records[0]!.place = {shape: [33, 40]}),
      /place is .*does not hold \[40, 33\]/,
    ],
    ['a place in depth', (_, records) => (records[0]!.place = {shape: [1, 1, 1, 1, 1, 40, 33]}), /place is/],
    ['an unknown weight', (_, records) => (records[0]!.weight = 'other/kernel'), /has no parts/],
    [
      'without a part',
      (file) => drop(file, 'hidden/kernel:scale'),
      /has the parts codes, zeros, but its entry lists codes, scale, zeros/,
    ],
    ['without a weight', (file) => drop(file, 'hidden/bias'), /has no weight 'hidden\/bias'/],
    [
      'a weight too much',
      (file) => rename(file, 'hidden/bias', 'hidden/bias2'),
      /weight 'hidden\/bias'|'hidden\/bias2'/,
    ],
  ])('a file with %s is refused, by a typed error', async (_, change, sentence) => {
    const quantised = model();
    await quantizeModel(quantised, {format: 'int4', targets: ['hidden']});
    const file = await saved(quantised);
    change(file, (file.modelTopology as Topology).tfjsPeftPacked);
    const before = tf.memory().numTensors;
    const error = (await loadQuantized(tf.io.fromMemory(file)).catch((caught: Error) => caught)) as Error;
    expect(error.name).toMatch(/^(WeightMismatch|Shape|Config)Error$/);
    expect(error.message).toMatch(sentence);
    expect(tf.memory().numTensors).toBe(before);
  });
});

/** Takes a weight out of a file, bytes too. */
function drop(file: tf.io.ModelArtifacts, name: string): void {
  const data = new Uint8Array(tf.io.CompositeArrayBuffer.join(file.weightData!));
  let at = 0;
  const kept: number[] = [];
  const specs = file.weightSpecs!.filter((spec) => {
    const bytes = tf.util.sizeFromShape(spec.shape) * 4;
    if (!spec.name.startsWith(name)) kept.push(...data.subarray(at, at + bytes));
    at += bytes;
    return !spec.name.startsWith(name);
  });
  file.weightSpecs = specs;
  file.weightData = Uint8Array.from(kept).buffer;
}

function rename(file: tf.io.ModelArtifacts, from: string, to: string): void {
  file.weightSpecs = file.weightSpecs!.map((spec) => (spec.name === from ? {...spec, name: to} : spec));
}
