import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import '@tfjs-peft/kernels/auto';
import '@tfjs-peft/kernels/wasm-training';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {loadPeft, type SiteInfo, upgrade} from '../../index.js';
import {
  ADAPTERS,
  compile,
  images,
  normalized,
  predict,
  scalesOnly,
  sequential,
  snapshot,
  text,
  train,
} from '../../testing/models.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'peft-wasm-'));
  await tf.setBackend('wasm');
});

afterAll(() => rm(folder, {recursive: true}));

describe.each(ADAPTERS.map((adapter) => ({adapter, type: adapter.type})))(
  '$type on wasm',
  ({adapter, type}) => {
    test.each([
      ['sequential', sequential],
      ['normalized', normalized],
      ['images', images],
      ['text', text],
    ])('lives as on cpu, in %s', async (kind, make) => {
      await tf.setBackend('wasm');
      const model = make();
      const stock = await predict(model);
      const base = snapshot(model);
      const scales = scalesOnly(adapter);
      const targets = ({kind}: SiteInfo) => kind !== 'other' && (scales || kind !== 'depthwiseConv2d');
      const peft = await upgrade(model, {adapter, targets, seed: 3});
      compile(model, tf.train.adam(0.05));
      const [first, ...rest] = await train(model, 6);
      expect(rest.at(-1)).toBeLessThan(first!);
      const {numTensors, numBytes} = tf.memory();
      await train(model, 3);
      expect(tf.memory()).toMatchObject({numTensors, numBytes});
      const bytes = new Map(snapshot(model).map((weight) => [weight.id, weight.bytes]));
      for (const weight of base) expect(bytes.get(weight.id)).toBe(weight.bytes);

      const place = join(folder, `${type}-${kind}`);
      await peft.save(place);
      const trained = await predict(model);
      const fresh = make();
      await loadPeft(fresh, place);
      expect(await predict(fresh)).toEqual(trained);
      peft.detach();
      expect(await predict(model)).toEqual(stock);

      await tf.setBackend('cpu');
      const other = make();
      await loadPeft(other, place);
      const elsewhere = await predict(other);
      expect(Math.max(...elsewhere.map((value, i) => Math.abs(value - trained[i]!)))).toBeLessThan(1e-5);
    });
  },
);
