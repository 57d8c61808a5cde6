import * as tf from '@tensorflow/tfjs';
import {adapterShapes, countTrainable, createAdapter, loadPeft, upgrade} from '../../../index.js';
import {describeAdapter} from '../../../testing/describe-adapter.js';
import {type Matrix, product, zip} from '../../../testing/double.js';
import {nested, predict} from '../../../testing/models.js';

const scaled = (rows: Matrix, by: number[]): Matrix =>
  rows.map((row) => row.map((value, j) => value * by[j]!));

describeAdapter({type: 'vera', rank: 3}, ({x, z, act, weight, shared}) => {
  const h = scaled(product(x, shared('vera_A')), weight('vera_lambda_d')[0]!);
  const change = scaled(product(h, shared('vera_B')), weight('vera_lambda_b')[0]!);
  return act(zip(z, change, (base, delta) => base + delta));
});

test('VeRA trains the two vectors, from 0.1 and from zero', async () => {
  expect(createAdapter({type: 'vera'}).getConfig()).toEqual({
    type: 'vera',
    rank: 256,
    dInitial: 0.1,
    projectionPrngKey: 0,
    saveProjection: false,
  });
  const dims = {inputDim: 5, outputDim: 3};
  expect(adapterShapes({type: 'vera', rank: 2}, dims)).toEqual([
    {name: 'vera_lambda_d', shape: [2], trainable: true},
    {name: 'vera_lambda_b', shape: [3], trainable: true},
  ]);
  // As PEFT counts them for a layer of 768 x 768 at its default rank.
  expect(countTrainable({type: 'vera'}, {inputDim: 768, outputDim: 768})).toBe(256 + 768);
  const peft = await upgrade(nested(), {adapter: {type: 'vera', rank: 2}});
  for (const variable of peft.trainableVariables()) {
    const start = /lambda_d/.test(variable.name) ? 0.1 : 0;
    for (const value of variable.dataSync()) expect(value).toBeCloseTo(start, 7);
  }
});

test('another key draws other matrices, of which a file says which', async () => {
  const outputs: number[][] = [];
  for (const projectionPrngKey of [0, 1]) {
    const model = nested();
    const peft = await upgrade(model, {adapter: {type: 'vera', rank: 2, projectionPrngKey}});
    for (const variable of peft.trainableVariables()) variable.assign(tf.onesLike(variable));
    outputs.push((await predict(model)) as unknown as number[]);
    let stored: tf.io.ModelArtifacts | undefined;
    await peft.save({
      save: async (artifacts) => {
        stored = artifacts;
        return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
      },
    });
    expect(stored!.weightSpecs!.some(({name}) => /vera_[AB]$/.test(name))).toBe(false);
    const fresh = nested();
    await loadPeft(fresh, {load: async () => stored!});
    expect(await predict(fresh)).toEqual(outputs.at(-1));
  }
  expect(outputs[0]).not.toEqual(outputs[1]);
});

test('saveProjection stores the matrices once, which then go before what the key draws', async () => {
  const adapter = {type: 'vera', rank: 2} as const;
  const model = nested();
  const peft = await upgrade(model, {adapter: {...adapter, saveProjection: true}});
  for (const variable of peft.trainableVariables()) variable.assign(tf.onesLike(variable));
  let stored!: tf.io.ModelArtifacts;
  const keep = tf.io.withSaveHandler(async (artifacts) => {
    stored = artifacts;
    return {modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts)};
  });
  const {tensors} = await peft.save(keep);
  const matrices = stored.weightSpecs!.filter(({name}) => /vera_[AB]$/.test(name));
  expect(matrices.map(({name}) => name)).toEqual(['shared:vera_A', 'shared:vera_B']);
  const {sites} = stored.modelTopology as unknown as {sites: {shape: [number, number]}[]};
  expect(tensors).toBe(2 * sites.length + 2);
  const [widestIn, widestOut] = [0, 1].map((axis) => Math.max(...sites.map(({shape}) => shape[axis]!)));
  expect(matrices.map(({shape}) => shape)).toEqual([
    [widestIn, 2],
    [2, widestOut],
  ]);
  const fresh = nested();
  await loadPeft(fresh, {load: async () => stored});
  expect(await predict(fresh)).toEqual(await predict(model));
});
