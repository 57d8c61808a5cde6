import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, inspect, upgrade} from '../../graph.js';
import {exportPlain} from '../../merge.js';
import {NODES} from '../testing/nodes.js';
import {close, fill, memory, run} from '../testing/run.js';

/** Lets the stock graph run with another constant. */
function setConstant(model: object, name: string, change: (value: tf.Tensor) => tf.Tensor): void {
  const {weightMap} = (model as {executor: {weightMap: Record<string, tf.Tensor[]>}}).executor;
  const [value] = weightMap[name]!;
  weightMap[name] = [change(value!)];
}

describe.each(Object.keys(NODES))('%s', (name) => {
  const {build, x: makeX, kind, shape, change} = NODES[name]!;
  const targets = ['site'];

  it('is a site of the right kind and widths', async () => {
    const [site] = inspect(await build().load(), {targets}).sites;
    expect(site).toMatchObject({name: 'site', kind, shape, status: 'adapted', dtype: 'float32'});
  });

  const adapters: AdapterConfig[] = [
    {type: 'ia3'},
    {type: 'mov', experts: 2},
    {type: 'lora', rank: 2},
    {type: 'molora', experts: 2, rank: 2},
  ];

  it.each(change === undefined ? adapters.slice(0, 2) : adapters)(
    'starts unchanged with %j, and is stock again after it',
    async (adapter) => {
      const model = await build().load();
      const before = await run(model, makeX());
      const peft = await upgrade(model, {adapter, targets});
      close(await run(model, makeX()), before);
      const y = model.predict(makeX()) as tf.Tensor;
      const stock = await build().load();
      expect(y.shape).toEqual((stock.predict(makeX()) as tf.Tensor).shape);
      peft.detach();
      expect(await run(model, makeX())).toEqual(before);
    },
  );

  it.each(change === undefined ? adapters.slice(0, 1) : adapters.slice(2))(
    'is saved with %j and loads again',
    async (adapter) => {
      const model = await build().load();
      const peft = await upgrade(model, {adapter, targets});
      fill(peft);
      const place = memory();
      await peft.saveModel(place);
      expect(await run(await loadGraphModel(place), makeX())).toEqual(await run(model, makeX()));
    },
  );

  if (change !== undefined) {
    it('computes with a low-rank change what stock tfjs computes with the changed constant', async () => {
      const model = await build().load();
      const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2, alpha: 2}, targets});
      fill(peft);
      const [a, b] = peft.trainableVariables() as [tf.Variable, tf.Variable];
      const stock = await build().load();
      setConstant(stock, 'w', (w) => tf.add(w, change(a as never, b as never)));
      close(await run(model, makeX()), await run(stock, makeX()), 2e-5);
    });

    it('is merged', async () => {
      const model = await build().load();
      const peft = await upgrade(model, {adapter: {type: 'lora', rank: 2}, targets});
      fill(peft);
      const place = memory();
      await exportPlain(peft, place);
      const plain = await loadGraphModel(place);
      close(await run(plain, makeX()), await run(model, makeX()), 2e-5);
    });
  } else {
    it('can only be scaled', async () => {
      const model = await build().load();
      await expect(upgrade(model, {adapter: {type: 'lora', rank: 2}, targets})).rejects.toThrow(
        /Node 'site': a lora adapter needs a product/,
      );
    });
  }
});
