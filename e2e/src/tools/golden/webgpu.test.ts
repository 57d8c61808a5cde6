import {join} from 'node:path';
import type {WebGPUBackend} from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import {checkBackend, useBackend} from './backend.js';
import {readCases} from './format.js';
import {runCase} from './run.js';

/**
 * One of each way that an adapter uses the GPU; a shader takes SwiftShader up to a second, so
 * that all cases would be too long.
 */
const IDS = [
  'lora-dense',
  'ia3-attn',
  'mov-paper-ffn',
  'molora-dense-soft',
  'molora-dense-top2',
  'lime-paper-lora-fixed',
  'mor1e-sira',
  'ismoe-raw-k2',
  'sidenet-lst-k2-mask-mean',
];

const DATA = join(__dirname, '../../../golden');
const cases = ['mov-molora', 'lime-mor1e', 'mp-ismoe']
  .flatMap((folder) => readCases(join(DATA, folder)))
  .filter(({id}) => IDS.includes(id));

test('the picked cases are there', () => {
  expect(cases.map(({id}) => id).sort()).toEqual([...IDS].sort());
});

// jest.config.mjs sets it where Debian's chromium package is.
if (process.env.VK_ICD_FILENAMES === undefined) {
  test.skip('golden data on webgpu: no Vulkan driver. Debian: apt-get install libvulkan1 chromium', () => {});
} else {
  describe('webgpu through Dawn', () => {
    beforeAll(() => useBackend('webgpu'));
    afterEach(() => checkBackend());

    test.each(cases.map((golden) => [golden.id, golden] as const))('%s', async (_id, golden) => {
      const before = tf.memory().numTensors;
      expect(await runCase(golden)).toMatchObject({ok: true, why: ''});
      expect(tf.memory().numTensors).toBe(before);
    });

    test('what the GPU refuses is an error, though tfjs throws none', async () => {
      const backend = tf.backend() as WebGPUBackend;
      const input = tf.ones([2]);
      const wrong = {
        variableNames: ['xIn'],
        outputShape: [2],
        workgroupSize: [64, 1, 1],
        dispatchLayout: {x: [0]},
        dispatch: [1, 1, 1],
        shaderKey: 'wrong',
        getUserCode: () => 'fn main(index : i32) { result[index] = noSuchFunction(xIn[index]); }',
      };
      const output = backend.runWebGPUProgram(wrong as never, [input], 'float32');
      await backend.read(output.dataId);
      backend.disposeData(output.dataId);
      input.dispose();
      expect(() => checkBackend()).toThrow(/^WebGPU validation failed: .*noSuchFunction/);
      expect(() => checkBackend()).not.toThrow();
    });
  });
}
