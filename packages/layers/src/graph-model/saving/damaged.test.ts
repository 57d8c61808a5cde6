import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {PeftError} from '@tfjs-peft/kernels';
import type {NodeDef} from '../../core/io/graph-editor.js';
import {upgrade} from '../../graph.js';
import {GraphBuilder} from '../testing/builder.js';
import {decodeRecord, encodeRecord, RECORD} from './site-record.js';

let saved: tf.io.ModelArtifacts;

beforeAll(async () => {
  await tf.setBackend('cpu');
  const graph = new GraphBuilder();
  graph.input('x', [-1, 4]);
  graph.weight('w', [4, 3]);
  graph.output(graph.node('MatMul', 'product', ['x', 'w'], {transpose_a: false, transpose_b: false}));
  const peft = await upgrade(await graph.load(), {adapter: {type: 'molora', experts: 2, rank: 2}});
  await peft.saveModel({
    async save(artifacts) {
      saved = artifacts;
      return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
    },
  });
});

/** The saved model with another text in the record of its site. */
async function run(change: (text: string) => string): Promise<tf.Tensor> {
  const topology = JSON.parse(JSON.stringify(saved.modelTopology)) as {node: NodeDef[]};
  for (const {attr} of topology.node) {
    const record = attr?.[RECORD] as {s: string} | undefined;
    if (record === undefined) continue;
    const text = Buffer.from(atob(record.s), 'hex').toString();
    expect(encodeRecord(decodeRecord(atob(record.s)))).toBe(atob(record.s));
    record.s = btoa(Buffer.from(change(text)).toString('hex'));
  }
  const model = await loadGraphModel(tf.io.fromMemory({...saved, modelTopology: topology} as never));
  return model.execute(tf.ones([1, 4])) as tf.Tensor;
}

it('a saved model runs', async () => {
  expect((await run((text) => text)).shape).toEqual([1, 3]);
});

it.each<[string, (text: string) => string, RegExp]>([
  [
    'another rank',
    (text) => text.replace('"rank":2', '"rank":3'),
    /needs a weight 'lora_A' \[4,6\], but the model has \[4,4\]/,
  ],
  [
    'a billion experts',
    (text) => text.replace('"experts":2', '"experts":1000000000'),
    /experts is 1000000000/,
  ],
  [
    'another adapter',
    (text) => text.replace('"type":"molora"', '"type":"mora"'),
    /Unknown adapter type 'mora'/,
  ],
  [
    'a weight missing',
    (text) => text.replace('"lora_B"', '"lora_C"'),
    /'lora_B' \[4,3\], but the model has none/,
  ],
  [
    'no end of brackets',
    (text) => text.replace('"weights":', `"x":${'['.repeat(1e5)}`),
    /another version.*or is damaged/,
  ],
  ['no JSON', () => 'x', /or is damaged/],
])('whose record has %s is refused', async (_, change, message) => {
  await expect(run(change)).rejects.toThrow(message);
  await expect(run(change)).rejects.toThrow(PeftError);
});
