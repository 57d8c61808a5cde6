import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {setWasmPaths} from '@tensorflow/tfjs-backend-wasm';
import {type GraphModel, loadGraphModel} from '@tensorflow/tfjs-converter';
import {io} from '@tensorflow/tfjs-core';
import {type LayersModel, loadLayersModel} from '@tensorflow/tfjs-layers';
import {wasmBackendFolder} from './package-folder.js';
import {padTokens} from './padding.js';
import {buildUseLite, USE_LITE_PADDING} from './use-lite.js';
import {loadUseLiteTokenizer} from './use-lite-tokenizer.js';
import {useLiteFolder} from './use-lite-weights.js';

const texts = [
  'How old are you?',
  'What is your age?',
  'The weather is lovely today.',
  'It is so sunny outside!',
  'a large musical instrument with a long row of black and white keys',
  'x',
  '\u03a9 unknown \u2603 characters \u2603\u2603',
];

/** The model as its package ships it: a graph that takes (row, column) indices and token values. */
async function shippedGraph(): Promise<GraphModel> {
  const folder = useLiteFolder();
  const json = JSON.parse(readFileSync(join(folder, 'model.json'), 'utf8'));
  const groups = json.weightsManifest as {paths: string[]; weights: io.WeightsManifestEntry[]}[];
  const bytes = Buffer.concat(
    groups.flatMap(({paths}) => paths.map((path) => readFileSync(join(folder, path)))),
  );
  return loadGraphModel({
    load: async () => ({
      modelTopology: json.modelTopology,
      weightSpecs: groups.flatMap(({weights}) => weights),
      weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
    }),
  });
}

describe('USE-lite as a LayersModel', () => {
  let model: LayersModel;
  const tokenizer = loadUseLiteTokenizer();
  const encoded = texts.map((text) => tokenizer.encode(text));
  const length = Math.max(...encoded.map((ids) => ids.length));

  const predict = (encoder: LayersModel, width = length): Float32Array =>
    tf.tidy(() => {
      const ids = tf.tensor2d(padTokens(encoded, width, USE_LITE_PADDING), [texts.length, width], 'int32');
      return (encoder.predict(ids) as tf.Tensor).dataSync<'float32'>();
    });

  beforeAll(async () => {
    setWasmPaths(wasmBackendFolder());
    await tf.setBackend('wasm');
    await tf.ready();
    model = buildUseLite();
  });

  afterAll(() => model.dispose());

  it('gives the vectors of the shipped graph', async () => {
    const graph = await shippedGraph();
    const indices = encoded.flatMap((ids, row) => ids.map((_, column) => [row, column]));
    const values = tf.tensor1d(encoded.flat(), 'int32');
    const expected = (await graph.executeAsync({
      indices: tf.tensor2d(indices, [indices.length, 2], 'int32'),
      values,
    })) as tf.Tensor;
    const want = expected.dataSync<'float32'>();
    const got = predict(model);
    expect(got.length).toBe(want.length);
    const deviation = got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0);
    expect(deviation).toBeLessThan(1e-5);
  });

  it('holds the known similarities and 6,975,744 parameters', () => {
    const vectors = predict(model);
    const cosine = (a: number, b: number) => {
      let sum = 0;
      for (let i = 0; i < 512; i++) sum += vectors[a * 512 + i]! * vectors[b * 512 + i]!;
      return sum;
    };
    expect(cosine(0, 1)).toBeCloseTo(0.846, 2);
    expect(cosine(2, 3)).toBeCloseTo(0.709, 2);
    expect(cosine(0, 2)).toBeLessThan(0.4);
    expect(model.countParams()).toBe(6975744);
  });

  it('does not depend on the length to which a batch is padded', () => {
    const short = predict(model);
    const long = predict(model, length + 7);
    for (let i = 0; i < short.length; i++) expect(Math.abs(short[i]! - long[i]!)).toBeLessThan(2e-6);
  });

  it('saves and loads with its own layers', async () => {
    let artifacts: io.ModelArtifacts | undefined;
    await model.save({
      save: async (saved) => {
        artifacts = saved;
        return {modelArtifactsInfo: io.getModelArtifactsInfoForJSON(saved)};
      },
    });
    const loaded = await loadLayersModel({load: async () => artifacts!});
    expect(predict(loaded)).toEqual(predict(model));
    loaded.dispose();
  });
});
