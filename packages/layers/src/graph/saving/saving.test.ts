import '@tensorflow/tfjs-backend-cpu';
import '@tfjs-peft/kernels/cpu';
import {loadGraphModel} from '@tensorflow/tfjs-converter';
import * as tf from '@tensorflow/tfjs-core';
import {type AdapterConfig, upgrade} from '../../index.js';
import {DIALECTS, X_SHAPE} from '../testing/graphs.js';
import {close, fill, memory, run} from '../testing/run.js';

const input = () => tf.randomUniform(X_SHAPE, -1, 1, 'float32', 7);

const EXACT: AdapterConfig[] = [
  {type: 'lora', rank: 2},
  {type: 'dora', rank: 2},
  {type: 'lora-fa', rank: 2},
  {type: 'ia3'},
  {type: 'ia3', position: 'before-activation'},
];

const MIXTURES: AdapterConfig[] = [
  {type: 'molora', experts: 3, rank: 2},
  {type: 'mov', experts: 3},
  {type: 'mor1e', r1: 2, r2: 3, intuition: false},
  {type: 'lime', experts: 3, over: {type: 'lora', rank: 2}},
];

describe.each(Object.keys(DIALECTS))('a graph in the dialect %s', (dialect) => {
  it.each([...EXACT, ...MIXTURES])('is saved with %j and loads again', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    fill(peft);
    const expected = await run(model, input());
    const place = memory();
    await peft.saveModel(place);
    const loaded = await loadGraphModel(place);
    const before = tf.memory().numTensors;
    expect(await run(loaded, input())).toEqual(expected);
    const x = input();
    const used = tf.memory().numTensors;
    await run(loaded, x);
    expect(tf.memory().numTensors).toBe(used);
    expect(used - before).toBeLessThanOrEqual(2);
    // The user's own save writes the base.
    const base = memory();
    await model.save(base);
    peft.disable();
    expect(await run(await loadGraphModel(base), x)).toEqual(await run(model, x));
  });

  it.each(EXACT)('is merged with %j', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    fill(peft);
    const place = memory();
    await peft.merge(place);
    const plain = await loadGraphModel(place);
    const ops = (plain as unknown as {artifacts: {modelTopology: {node: {op: string}[]}}}).artifacts
      .modelTopology.node;
    expect(ops.filter(({op}) => op.startsWith('Tfjs'))).toEqual([]);
    close(await run(plain, input()), await run(model, input()));
  });

  it.each(MIXTURES)('is not merged with %j', async (adapter) => {
    const model = await DIALECTS[dialect]!().load();
    const peft = await upgrade(model, {adapter});
    const saved = jest.fn();
    await expect(peft.merge({save: saved})).rejects.toThrow(
      /Node '.*': its .* adapter cannot be merged exactly/,
    );
    expect(saved).not.toHaveBeenCalled();
  });
});
