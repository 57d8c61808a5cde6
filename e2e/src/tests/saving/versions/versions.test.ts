import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {loadPeft} from '@tfjs-peft/layers/graph';
import {folderHandler} from '../../../data/models/folder-handler.js';
import {contextOfBatch, graphInputs, layersInputs} from './bases.js';

interface Expected {
  shape: number[];
  data: number[];
}

const SAVED = join(process.cwd(), 'e2e', 'saved');
const versions = readdirSync(SAVED).filter((name) => /^\d+\.\d+\.\d+$/.test(name));

/** So many cases were saved by 0.1.0. */
const FILES = {layers: 23, graph: 13};

const names = (folder: string) => readdirSync(folder).sort();

function largestDifference(output: tf.Tensor, folder: string): number {
  const {shape, data} = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
  expect(output.shape).toEqual(shape);
  return tf.tidy(() => tf.max(tf.abs(tf.sub(output, tf.tensor(data, shape)))).dataSync()[0]!);
}

test('no file of the first version has gone', () => {
  expect(names(join(SAVED, '0.1.0', 'layers'))).toHaveLength(FILES.layers);
  expect(names(join(SAVED, '0.1.0', 'graph'))).toHaveLength(FILES.graph);
});

describe.each(versions)('what %s saved', (version) => {
  const folder = join(SAVED, version);

  describe.each(['cpu', 'wasm'])('on %s', (backend) => {
    beforeAll(() => tf.setBackend(backend));

    /**
     * Loads a case onto the base of its kind, which must give what was saved, and not what it gave before.
     */
    async function expectLoaded<M extends tf.LayersModel | tf.GraphModel>(
      model: M,
      from: string,
      run: () => tf.Tensor,
    ): Promise<void> {
      const base = run();
      const peft = await loadPeft(model, from);
      peft.setContext(contextOfBatch());
      expect(largestDifference(run(), from)).toBeLessThan(1e-5);
      expect(largestDifference(base, from)).toBeGreaterThan(1e-4);
      peft.detach();
    }

    test.each(names(join(folder, 'layers')))('%s loads onto a LayersModel', async (name) => {
      const model = await tf.loadLayersModel(folderHandler(join(folder, 'layers-base')));
      await expectLoaded(
        model,
        join(folder, 'layers', name),
        () => model.predict(layersInputs()) as tf.Tensor,
      );
    });

    test.each(names(join(folder, 'graph')))('%s loads onto a GraphModel', async (name) => {
      const model = await tf.loadGraphModel(folderHandler(join(folder, 'graph-base')));
      await expectLoaded(model, join(folder, 'graph', name), () => model.execute(graphInputs()) as tf.Tensor);
    });

    test('a LayersModel saved whole loads with its adapters', async () => {
      const whole = join(folder, 'layers-whole');
      const model = await tf.loadLayersModel(folderHandler(whole));
      expect(largestDifference(model.predict(layersInputs()) as tf.Tensor, whole)).toBeLessThan(1e-5);
    });

    test('a GraphModel saved whole loads with its adapters', async () => {
      const whole = join(folder, 'graph-whole');
      const model = await tf.loadGraphModel(folderHandler(whole));
      expect(largestDifference(model.execute(graphInputs()) as tf.Tensor, whole)).toBeLessThan(1e-5);
    });
  });
});
